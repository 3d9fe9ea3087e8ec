"""The documentation agrees with the code: links, paths, commands, parameters and examples."""

import dataclasses
import re
import sys

import pytest
import typer
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config

from compositions import ROOT
from netchu.cli.app import app
from netchu.core import params as params_module
from netchu.core.params import DatasetParams, PhaseParams, Strict, SyntheticParams, parse_config

sys.path.insert(0, str(ROOT / "docs" / "hooks"))
import generated_pages

TOP = [
    ROOT / name
    for name in ("README.md", "README.vi.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md")
]
PAGES = [*TOP, *sorted((ROOT / "docs").glob("*.md"))]
PACKAGE = ROOT / "src" / "netchu"
PLACEHOLDER = re.compile(r"\b(PROFILE|STAGE|SOURCE|DATASET|SYSTEM|NAME|PACKAGE|DIR)\b")


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request):
    return request.param.read_text(encoding="utf-8")


def blocks(text):
    return re.findall(r"^ *```(\w*)\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)


def slug(heading):
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def command_lines(text):
    """The command lines of shell blocks and of inline code."""
    lines = [line for kind, block in blocks(text) if kind == "sh" for line in block.splitlines()]
    prose = re.sub(r"^ *```.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line.split("#")[0] for line in lines] + re.findall(r"`([^`\n]+)`", prose)


def test_the_site_builds_without_a_warning(tmp_path):
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    build(config)
    assert (tmp_path / "parameters" / "index.html").is_file()


@pytest.mark.parametrize("path", TOP, ids=lambda path: path.name)
def test_links_of_pages_outside_the_site_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = target.partition("#")
        file = path.parent / name
        assert file.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target


def test_paths_exist(page):
    folders = {path.name for path in [*ROOT.iterdir(), *PACKAGE.iterdir()] if path.is_dir()}
    for name in re.findall(r"`([\w.]+/[\w./*-]*)`", page):
        if name.split("/")[0] in folders and not PLACEHOLDER.search(name):
            roots = (ROOT, PACKAGE)
            assert any((root / name).exists() or [*root.glob(name)] for root in roots), name


def test_modules_that_are_named_without_a_folder_exist(page):
    for name in re.findall(r"`(\w+\.py)`", page):
        assert any(PACKAGE.rglob(name)), name


def test_paths_of_the_trees_in_the_readmes_exist():
    for path in TOP[:2]:
        (tree,) = (block for kind, block in blocks(path.read_text("utf-8")) if not kind)
        for line in tree.splitlines():
            name = line.split()[0].rstrip("/")
            assert ((PACKAGE if line.startswith("  ") else ROOT) / name).exists(), name
        layers = [line.split()[0].rstrip("/") for line in tree.splitlines() if line[:2] == "  "]
        assert {*layers, "shipped"} == {
            path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name[0] != "_"
        }


def test_commands_and_their_options_exist(page):
    for line in command_lines(page):
        for call in re.split(r"&&|\||;", line):
            words = call.split()
            if words[:1] != ["netchu"] or len(words) < 2 or not words[1].isalpha():
                continue
            command = typer.main.get_command(app)
            for word in words[1:]:
                if word not in getattr(command, "commands", {}):
                    break
                command = command.commands[word]
            assert command.name in words, call
            known = {name for option in command.params for name in option.opts}
            assert {w for w in words if w.startswith("--")} <= known, call


def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {
        found[1]
        for line in command_lines(page)
        if (found := re.match(r"make ([a-z-]+)", line)) and found[1] != "sure"
    }
    assert named <= targets


def test_profiles_exist(page):
    for name in re.findall(r"profile=(\w+)", page):
        assert (ROOT / "conf" / "profile" / f"{name}.yaml").is_file(), name


def test_parameters_of_the_examples_are_valid(page):
    classes = {"synthetic": SyntheticParams, "datasets": DatasetParams}
    for kind, block in blocks(page):
        if kind != "yaml" or "…" in block:
            continue
        for key, content in yaml.safe_load(block).items():
            values = content if isinstance(content, list) else content.values()
            for value in values:
                parse_config(classes.get(key, PhaseParams), value, key)


def test_every_parameter_is_on_its_page_with_a_meaning():
    found = {
        config.name: config
        for config in generated_pages.config_classes(PACKAGE / "core" / "params.py")
    }
    text = generated_pages.parameters()
    for name, cls in vars(params_module).items():
        if isinstance(cls, type) and issubclass(cls, Strict) and cls is not Strict:
            listed = found[name].fields
            assert [field.name for field in listed] == [f.name for f in dataclasses.fields(cls)]
            assert all(field.doc for field in listed), name
            assert f"## {name}\n" in text


def test_every_network_is_on_the_page_of_parameters():
    text = generated_pages.parameters()
    for network in generated_pages.networks():
        assert f"`model` of the network `{network}`" in text


def test_every_command_is_on_its_page():
    text = generated_pages.command_line()
    for name in typer.main.get_command(app).commands:
        assert f"## netchu {name}\n" in text
    assert "## netchu bundle pack\n" in text


def test_both_readmes_have_the_same_outline_and_are_short():
    english, vietnamese = (path.read_text(encoding="utf-8") for path in TOP[:2])
    assert english.count("\n## ") == vietnamese.count("\n## ")
    assert [kind for kind, _ in blocks(english)] == [kind for kind, _ in blocks(vietnamese)]
    assert max(len(text.splitlines()) for text in (english, vietnamese)) <= 120


def test_no_page_names_a_path_of_a_machine(page):
    assert not re.search(r"(?<!\w)/(work|root|home|Users)/", page)
