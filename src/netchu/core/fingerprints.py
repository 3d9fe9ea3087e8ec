"""Which source files a module really imports: true code dependencies for DVC and for resuming.

`python -m netchu.core.fingerprints stages/pretrain.py crnn_vgg` prints what that stage must list in dvc.yaml.
"""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ROOT = PACKAGE.parent.parent


def import_closure(entries: Iterable[Path]) -> set[Path]:
    """The package's files that `entries` import, directly or not, with the entries themselves.

    Imports inside functions count; imports under `if TYPE_CHECKING` do not, for they never run.
    """
    found: set[Path] = set()
    waiting = [entry.resolve() for entry in entries]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imports(path)
    return found


def _imports(path: Path) -> list[Path]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[Path] = []
    for node in _run_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found += _files(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += _files(node.module)
            for alias in node.names:
                found += _files(f"{node.module}.{alias.name}")
    return found


def _run_nodes(node: ast.AST) -> Iterable[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _run_nodes(child)


def _files(module: str) -> list[Path]:
    """The file of `netchu.a.b` and the packages above it; nothing for other modules."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return []
    files = []
    for end in range(1, len(parts) + 1):
        base = PACKAGE.joinpath(*parts[1:end])
        files += [f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()]
    return files


def fingerprint(entries: Iterable[Path]) -> str:
    """SHA-256 over the code that `entries` import, and over themselves."""
    digest = hashlib.sha256()
    for path in sorted(import_closure(entries)):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    stage, *names = sys.argv[1:]
    modules = [next(PACKAGE.glob(f"*/{name}.py")) for name in names]
    for file in sorted(import_closure([Path(stage), *modules])):
        print(file.relative_to(ROOT).as_posix())
