"""Packages form layers: each imports only from the packages above it in the list."""

import ast

import pytest

from compositions import ROOT
from netchu.core.fingerprints import PACKAGE, import_closure, imports

LAYERS = (
    "core", "imaging", "data", "synthesis", "decoding", "models", "inference", "training",
    "evaluation", "tracking", "release", "pipeline", "report", "serve", "cli",
)  # fmt: skip
TOP = {"__init__.py", "__main__.py", "py.typed"}


def package_of(path):
    return path.relative_to(PACKAGE).parts[0]


def test_every_package_has_its_layer():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir()} - {"__pycache__"}
    assert folders == {*LAYERS, "shipped"}
    assert {path.name for path in PACKAGE.iterdir() if path.is_file()} == TOP


@pytest.mark.parametrize("layer", LAYERS)
def test_a_package_imports_from_those_above_it_only(layer):
    allowed = {*LAYERS[: LAYERS.index(layer) + 1], "__init__.py"}
    downward = {
        f"{path.relative_to(PACKAGE)} imports {imported.relative_to(PACKAGE)}"
        for path in (PACKAGE / layer).rglob("*.py")
        for imported in imports(path, path.stat().st_mtime_ns)
        if package_of(imported) not in allowed
    }
    assert downward == set()


def test_no_module_imports_itself_over_others():
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py"]
    circles = {
        path.relative_to(PACKAGE).as_posix()
        for path in modules
        if any(
            path in import_closure([imported])
            for imported in imports(path, path.stat().st_mtime_ns)
            if imported.name != "__init__.py"
        )
    }
    assert circles == set()


def test_reading_imports_neither_torch_nor_pydantic_nor_yaml():
    heavy = {"torch", "lightning", "pydantic", "yaml", "pandas", "mlflow", "transformers"}
    for path in import_closure([PACKAGE / "inference" / "reader.py"]):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            found = heavy & {name.split(".")[0] for name in names}
            assert not found, f"{path.relative_to(ROOT)} imports {found}"
