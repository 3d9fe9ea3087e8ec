import pytest

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


def test_data_files_of_a_package_count_and_those_of_others_do_not(package, monkeypatch):
    monkeypatch.setattr(fingerprints, "PACKAGE", package)
    before = fingerprints.fingerprint([package / "a.py"])
    (package / "other").mkdir()
    (package / "other" / "words.txt").write_text("one")
    (package / "words.txt").write_text("the root package reads none")
    assert fingerprints.fingerprint([package / "a.py"]) == before
    (package / "deep" / "words.txt").write_text("one")
    assert fingerprints.fingerprint([package / "a.py"]) != before


def test_packages_that_are_left_out_do_not_count(package):
    before = fingerprints.fingerprint([package / "a.py"], without=("deep",))
    (package / "deep" / "c.py").write_text("changed = 1\n")
    assert fingerprints.fingerprint([package / "a.py"], without=("deep",)) == before
