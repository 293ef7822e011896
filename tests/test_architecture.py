"""The picture of docs/architecture.md, held to what the code really imports."""

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from tf_model import paths

PAGE = paths.ROOT / "docs" / "architecture.md"
TOPS = ("tf_model", "streamlit_app", "research")
Arrow = tuple[str, str]


# ------------------------------------------------------------------------------------------------ what the page says


def drawn(kind: str) -> set[Arrow]:
    """The arrows of the diagram: ``-->`` or ``-.->``."""
    [diagram] = re.findall(r"```mermaid\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    found = [re.fullmatch(rf"(\w+) {re.escape(kind)} (\w+)", line.strip()) for line in diagram.splitlines()]
    arrows = [match.groups() for match in found if match]
    assert len(arrows) == len(set(arrows))
    return set(arrows)


@cache
def parts() -> dict[str, str]:
    """The part that each module of the package belongs to, from the table of the page."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = [(module, part) for part, modules in rows for module in re.findall(r"`(\w+)/?`", modules)]
    assert len(named) == len(dict(named)), "a module is listed twice"
    return dict(named)


# ------------------------------------------------------------------------------------------------ what the code says


@cache
def imports(inside_functions: bool) -> dict[Arrow, set[str]]:
    """Imports from one part into another, as arrows, with the modules that make each."""
    found = defaultdict(set)
    for top in TOPS:
        for path in sorted((paths.ROOT / top).rglob("*.py")):
            module = ".".join(path.relative_to(paths.ROOT).with_suffix("").parts)
            for name, inside in imported(ast.parse(path.read_text(encoding="utf-8"))):
                source, target = part_of(module), part_of(name)
                if inside == inside_functions and source and target and source != target:
                    found[source, target].add(f"{module} imports {name}")
    return dict(found)


def imported(node: ast.AST, inside: bool = False):
    """Every import below a node, and whether it stands in a function; those for type checkers alone do not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from ((name.name, inside) for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from ((f"{child.module}.{name.name}", inside) for name in child.names)
        yield from imported(child, inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def part_of(name: str) -> str | None:
    top, *rest = name.split(".")
    if top != "tf_model":
        return top if top in TOPS else None
    return parts().get(rest[0]) if rest and rest[0] != "__init__" else None


def leads(arrows: set[Arrow], source: str, target: str) -> bool:
    """Whether one gets from a part to another along the arrows."""
    seen, todo = set(), [source]
    while todo:
        here = todo.pop()
        new = {to for start, to in arrows if start == here} - seen
        seen |= new
        todo += new
    return target in seen


# ------------------------------------------------------------------------------------------------ both agree


def test_every_module_has_its_place_in_the_table():
    package = paths.ROOT / "tf_model"
    modules = {path.stem for path in package.glob("*.py")} | {path.parent.name for path in package.glob("*/*.py")}
    assert set(parts()) == modules - {"__init__"}, "list each module of tf_model/ in one row of docs/architecture.md"


def test_an_arrow_is_an_import():
    real = set(imports(inside_functions=False))
    assert drawn("-->") - real == set(), "these arrows of docs/architecture.md stand for no import: take them out"
    deferred = set(imports(inside_functions=True))
    assert drawn("-.->") - deferred == set(), "these dotted arrows stand for no import within a function"


@pytest.mark.parametrize("inside_functions", [False, True])
def test_an_import_goes_along_the_arrows(inside_functions):
    arrows = drawn("-->")
    for (source, target), modules in imports(inside_functions).items():
        along = leads(arrows, source, target) or (inside_functions and (source, target) in drawn("-.->"))
        kind = "-.->" if inside_functions else "-->"
        assert along, f"draw {source} {kind} {target} in docs/architecture.md, or undo it: {sorted(modules)}"


def test_no_arrow_is_there_twice_over():
    arrows = drawn("-->")
    assert [arrow for arrow in arrows if leads(arrows - {arrow}, *arrow)] == [], "other arrows lead there already"
    assert [arrow for arrow in drawn("-.->") if leads(arrows, *arrow)] == [], "solid arrows lead there already"


def test_nothing_goes_round_in_a_circle():
    arrows = drawn("-->")
    assert [part for part in {part for arrow in arrows for part in arrow} if leads(arrows, part, part)] == []


def test_links_of_the_pages_lead_somewhere():
    for page in (PAGE, paths.ROOT / "README.md", paths.ROOT / "CONTRIBUTING.md"):
        for link in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
                assert Path(page.parent / link).resolve().is_relative_to(paths.ROOT)
