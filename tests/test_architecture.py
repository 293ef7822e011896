"""The real imports of every module: no cycles, and docs/architecture.md names every module."""

import ast
import re
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from tf_model import paths

PAGE = paths.ROOT / "docs" / "architecture.md"
TOPS = ("tf_model", "streamlit_app", "research")


@cache
def modules() -> dict[str, ast.Module]:
    """The code of every module by name. A package that only re-exports names is no module."""
    found = {}
    for top in TOPS:
        for path in sorted((paths.ROOT / top).rglob("*.py")):
            if path.name != "__init__.py":
                found[".".join(path.relative_to(paths.ROOT).with_suffix("").parts)] = ast.parse(path.read_text("utf-8"))
    return found


@cache
def imports() -> dict[str, set[str]]:
    """What each module imports, also inside functions; imports for type checkers alone do not count."""
    return {name: set(_resolved(name, tree)) for name, tree in modules().items()}


def _resolved(module, tree):
    for name in _imported(tree):
        if name.split(".")[0] in TOPS:
            while name and name not in modules():
                name = name.rpartition(".")[0]
            if name and name != module:
                yield name


def _imported(node):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (_home(child.module, alias.name) for alias in child.names)
        yield from _imported(child)


def _home(package: str, name: str) -> str:
    """The module that a name comes from, also if a package re-exports it."""
    init = paths.ROOT.joinpath(*package.split("."), "__init__.py")
    for node in ast.parse(init.read_text("utf-8")).body if init.is_file() else ():
        if isinstance(node, ast.ImportFrom) and name in {alias.asname or alias.name for alias in node.names}:
            return f"{node.module}.{name}"
    return f"{package}.{name}"


def unit(module: str) -> str:
    """A package or a module directly in ``tf_model``; the app and the research are one unit each."""
    top, *rest = module.split(".")
    return f"{top}.{rest[0]}" if top == "tf_model" else top


def unit_imports() -> dict[str, set[str]]:
    found = {unit(name): set() for name in modules()}
    for name, targets in imports().items():
        found[unit(name)] |= {unit(target) for target in targets} - {unit(name)}
    return found


@pytest.mark.parametrize("graph", [imports, unit_imports])
def test_no_import_runs_in_a_circle(graph):
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(f"an import circle, the later imports the earlier: {' <- '.join(error.args[1])}")


def test_the_package_is_used_by_the_app_and_by_research_and_uses_neither():
    lower = {target for name, targets in imports().items() if unit(name) not in TOPS for target in targets}
    assert {unit(target) for target in lower} & {"streamlit_app", "research"} == set()
    app = {unit(target) for name, targets in imports().items() if unit(name) == "streamlit_app" for target in targets}
    assert "research" not in app


def test_the_page_names_each_package_and_module_once():
    named = re.findall(r"^\| `(\w+)(?:/|\.py)` \|", PAGE.read_text("utf-8"), re.MULTILINE)
    real = {name.removeprefix("tf_model.") for name in unit_imports()} - {"streamlit_app", "research"}
    assert sorted(named) == sorted(real), "list each of tf_model/ in one row of docs/architecture.md"
    rows = dict(re.findall(r"^\| `(\w+)(?:/|\.py)` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE))
    inner = [name.split(".")[1:] for name in modules() if re.fullmatch(r"tf_model\.\w+\.(?!__main__)\w+", name)]
    assert [each for each in inner if f"`{each[1]}`" not in rows[each[0]]] == []
