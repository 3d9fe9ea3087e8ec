import subprocess
import sys

import pytest

from compositions import ROOT
from netchu.core import fingerprints

FILES = {
    "__init__.py": "",
    "a.py": "from netchu.b import thing\nimport json\n",
    "b.py": "def f():\n    from netchu.deep import c\n",
    "deep/__init__.py": "",
    "deep/c.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import netchu.unused\n",
    "unused.py": "",
    "starred.py": "import netchu.deep.c as c\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "netchu"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    monkeypatch.setattr(fingerprints, "PACKAGE", folder)
    return folder


def closure(folder, *names):
    found = fingerprints.import_closure(folder / name for name in names)
    return {path.relative_to(folder).as_posix() for path in found}


def test_imports_are_followed_into_functions_but_not_into_type_checking(package):
    wanted = {"a.py", "b.py", "__init__.py", "deep/__init__.py", "deep/c.py"}
    assert closure(package, "a.py") == wanted
    assert closure(package, "starred.py") == {"starred.py", *wanted} - {"a.py", "b.py"}
    assert closure(package, "unused.py") == {"unused.py"}


def test_circles_end(package):
    (package / "b.py").write_text("import netchu.a\n")
    assert closure(package, "a.py") == {"a.py", "b.py", "__init__.py"}


def test_the_fingerprint_follows_what_is_imported_and_nothing_else(package):
    def mark():
        return fingerprints.fingerprint([package / "a.py"])

    before = mark()
    (package / "unused.py").write_text("changed = 1\n")
    assert mark() == before
    (package / "deep" / "c.py").write_text("changed = 1\n")
    assert mark() != before


def test_the_command_prints_what_a_stage_must_list():
    command = [sys.executable, "-m", "netchu.core.fingerprints", "stages/pretrain.py", "crnn_vgg"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    lines = told.splitlines()
    assert {"stages/pretrain.py", "src/netchu/models/crnn_vgg.py", "src/netchu/core/text.py"} <= {
        *lines
    }
    assert "src/netchu/models/trocr.py" not in lines
    assert lines == sorted(lines)
