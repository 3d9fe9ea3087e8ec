"""Fingerprints of code: a hash of every file that a script or module really imports.

DVC does not follow imports. The stage `code` writes one fingerprint for each stage and key, and
the other stages depend on these files (see `netchu.pipeline.code`). The key under which a killed
training resumes is made of the same fingerprint.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Collection, Iterable
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


def import_closure(entries: Iterable[Path], without: Collection[str] = ()) -> set[Path]:
    """Return the files of this package that `entries` import, directly or not, and `entries`.

    Imports inside functions count; imports under `if TYPE_CHECKING` do not, because they never
    run. A module that is imported by a computed name must be one of the entries.

    Args:
        entries: Python files, of this package or not.
        without: first-level subpackages of this package that are left out, with what only they
            import.
    """
    excluded = [PACKAGE / name for name in without]
    found: set[Path] = set()
    waiting = [entry.resolve() for entry in entries]
    while waiting:
        path = waiting.pop()
        if path not in found and not any(path.is_relative_to(folder) for folder in excluded):
            found.add(path)
            waiting += imports(path, path.stat().st_mtime_ns)
    return found


def data_files(modules: Iterable[Path]) -> set[Path]:
    """Return the files other than Python that lie beside `modules` in their packages.

    Such files (templates, word lists, lock files) are read by the modules of their package. Those
    of the root package are left out: nothing in the pipeline reads the weights in `shipped/`.
    """
    folders = {path.parent for path in modules if path.is_relative_to(PACKAGE)} - {PACKAGE}
    return {
        path
        for folder in folders
        for path in folder.iterdir()
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }


def fingerprint(entries: Iterable[Path], without: Collection[str] = ()) -> str:
    """Return a SHA-256 over the import closure of `entries` and the data files beside it.

    The hash covers paths relative to the repository and contents, in order. See `import_closure`
    for the arguments.
    """
    files = import_closure(entries, without)
    digest = hashlib.sha256()
    for path in sorted(files | data_files(files)):
        inside = path.is_relative_to(PACKAGE)
        name = path.relative_to(PACKAGE).as_posix() if inside else path.name
        digest.update(f"{name}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return digest.hexdigest()


@cache
def imports(path: Path, modified: int) -> tuple[Path, ...]:
    """Return the files of this package that one file imports; `modified` is the cache's key."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: list[Path] = []
    for node in _executed_nodes(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found += _files(alias.name)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += _files(node.module)
            for alias in node.names:
                found += _files(f"{node.module}.{alias.name}")
    return tuple(found)


def _executed_nodes(node: ast.AST) -> Iterable[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        yield child
        yield from _executed_nodes(child)


def _files(module: str) -> list[Path]:
    """Return the file of `netchu.a.b` and of the packages above it; nothing for other modules."""
    parts = module.split(".")
    if parts[0] != PACKAGE.name:
        return []
    files = []
    for end in range(1, len(parts) + 1):
        base = PACKAGE.joinpath(*parts[1:end])
        files += [f for f in (base.with_suffix(".py"), base / "__init__.py") if f.is_file()]
    return files
