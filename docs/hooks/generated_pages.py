"""MkDocs hook: fills the pages that are made from code and from ARCHITECTURE.md.

A page holds a marker, `{{ command_line }}`, `{{ parameters }}` or `{{ architecture }}`, which is
replaced when the site is built. Dataclasses are read as source text, so nothing imports torch.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "netchu"
MARKER = re.compile(r"^\{\{ (\w+) \}\}$", re.MULTILINE)


@dataclass(frozen=True)
class Field:
    """One field of a dataclass, as its source has it; `default` is None where it is required."""

    name: str
    type: str
    default: str | None
    doc: str


@dataclass(frozen=True)
class ConfigClass:
    """A dataclass of parameters: its name, its docstring and its fields in order."""

    name: str
    doc: str
    fields: tuple[Field, ...]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page; called by MkDocs for each page."""
    pages = {
        "command_line": command_line,
        "parameters": parameters,
        "architecture": architecture,
    }
    return MARKER.sub(lambda found: pages[found[1]](), markdown)


def architecture() -> str:
    """Return ARCHITECTURE.md with its links to pages made relative to them."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    return text.replace("](docs/", "](")


def command_line() -> str:
    """Return a section for each command with what its `--help` prints."""
    import typer
    from typer.testing import CliRunner

    from netchu.cli.app import app

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        yield path
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*path, name))

    sections = []
    for path in walk(typer.main.get_command(app), ()):
        result = CliRunner().invoke(
            app, [*path, "--help"], prog_name="netchu", env={"COLUMNS": "80", "TERM": "dumb"}
        )
        if result.exit_code:
            raise RuntimeError(f"netchu {' '.join(path)} --help fails: {result.output}")
        title = " ".join(("netchu", *path))
        sections.append(f"## {title}\n\n```text\n{result.output.strip()}\n```\n")
    return "\n".join(sections)


def parameters() -> str:
    """Return a table of fields for each dataclass of params.yaml and of the networks."""
    classes = {found.name: found for found in config_classes(PACKAGE / "core" / "params.py")}
    sections = []
    for name, places in _places(classes, "Params").items():
        where = "At " + ", ".join(f"`{place}`" for place in places) + "." if any(places) else ""
        sections.append(_section(classes[name], where))
    for path in sorted((PACKAGE / "evaluation" / "baselines").glob("*.py")):
        sections += [_section(found, "At `baselines.NAME`.")
                     for found in config_classes(path)]  # fmt: skip
    sections.append("## Networks {: #networks }\n\nThe keys of `systems.NAME.model`, by network.\n")
    for network in networks():
        for found in config_classes(PACKAGE / "models" / "networks" / f"{network}.py"):
            place = f"`model` of the network `{network}`"
            if not found.name.lower().startswith(network.replace("_", "")):
                place = f"A part of {place}"
            sections.append(_section(found, f"{place}.", level=3))
    return "\n".join(sections)


def networks() -> list[str]:
    """Return the names of the networks, those of the files in `models/networks/`."""
    return sorted(path.stem for path in PACKAGE.glob("models/networks/[!_]*.py"))


def config_classes(path: Path) -> list[ConfigClass]:
    """Return the dataclasses of parameters of a module: those that derive from `Strict`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return [
        ConfigClass(node.name, ast.get_docstring(node) or "", tuple(_fields(node, functions)))
        for node in tree.body
        if isinstance(node, ast.ClassDef) and "Strict" in map(ast.unparse, node.bases)
    ]


def _fields(node: ast.ClassDef, functions: dict[str, ast.FunctionDef]) -> Iterator[Field]:
    for statement, after in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign):
            continue
        kind = ast.unparse(statement.annotation)
        if kind.startswith("ClassVar"):
            continue
        doc = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            doc = inspect.cleandoc(str(after.value.value))
        default = None if statement.value is None else _default(statement.value, functions)
        yield Field(ast.unparse(statement.target), kind, default, doc)


def _default(value: ast.expr, functions: dict[str, ast.FunctionDef]) -> str | None:
    """Return a default as text; of `field(default_factory=...)` what the factory returns."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        if "default" in given:
            return ast.unparse(given["default"])
        if "default_factory" not in given:
            return None
        factory = given["default_factory"]
        if isinstance(factory, ast.Lambda):
            return ast.unparse(factory.body)
        name = ast.unparse(factory)
        if name in functions and isinstance(returned := functions[name].body[-1], ast.Return):
            return ast.unparse(returned.value) if returned.value else None
        return {"dict": "{}", "list": "[]", "tuple": "()"}.get(name, f"{name}()")
    return ast.unparse(value)


def _places(classes: dict[str, ConfigClass], root: str) -> dict[str, list[str]]:
    """Return where in params.yaml each class stands, such as `systems.NAME.finetune[i]`."""
    found: dict[str, list[str]] = {}

    def visit(name: str, place: str) -> None:
        found.setdefault(name, []).append(place)
        for field in classes[name].fields:
            for inner in classes:
                if re.search(rf"\b{inner}\b", field.type):
                    key = f"{place}.{field.name}".lstrip(".")
                    suffix = {"dict": ".NAME", "list": "[i]"}.get(field.type.split("[")[0], "")
                    visit(inner, key + suffix)

    visit(root, "")
    return found


def _section(config: ConfigClass, where: str, level: int = 2) -> str:
    rows = [
        f"| `{field.name}` | {_code(field.type)} | "
        f"{'required' if field.default is None else _code(field.default)} | {_cell(field.doc)} |"
        for field in config.fields
    ]
    table = "\n".join(["| key | type | default | meaning |", "| --- | --- | --- | --- |", *rows])
    return f"{'#' * level} {config.name}\n\n{where}\n\n{config.doc}\n\n{table}\n"


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
