"""Imports between the rooms of the package go down only, and no two modules import each other in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import monai_tasks

PACKAGE = Path(monai_tasks.__file__).parent

# From the ground up. A room may use those on lower floors and, in one direction only, its neighbours.
FLOORS = [
    {"transforms", "networks", "losses", "metrics"},
    {"io", "report"},
    {"datasets", "phantoms", "radiographs", "catalog"},
    {"training", "inference", "evaluation", "explain"},
    {"experiments"},
    {"cli"},
    {"__main__"},
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def module_name(path: Path, package: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(package: Path) -> dict[str, set[str]]:
    """Every module, with the modules of the package that its imports name, at the top or inside functions."""
    files = {module_name(path, package): path for path in sorted(package.rglob("*.py"))}
    graph = {}
    for name, path in files.items():
        home = name if path.name == "__init__.py" else name.rpartition(".")[0]
        named: set[str] = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                named.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                base = node.module or ""
                if node.level:
                    above = home.split(".")[: len(home.split(".")) - node.level + 1]
                    base = ".".join([*above, base] if base else above)
                # `from package import name` means the module of that name where there is one.
                full = (f"{base}.{alias.name}" for alias in node.names)
                named.update(child if child in files else base for child in full)
        graph[name] = (named & files.keys()) - {name}
    return graph


def room(module: str) -> str:
    """The part of a module's name that has a floor; empty for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def upward(graph: dict[str, set[str]]) -> list[str]:
    """Imports from a floor of a higher one, and of rooms by the package's own `__init__`."""
    return [
        f"{name} -> {target}"
        for name, targets in graph.items()
        for target in sorted(targets)
        if room(target) and FLOOR_OF[room(target)] > FLOOR_OF.get(room(name), -1)
    ]


def circle(graph: dict[str, set[str]]) -> list[str]:
    """The nodes of one circle of imports, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The graph with each module replaced by its room."""
    merged: dict[str, set[str]] = {}
    for name, targets in graph.items():
        merged.setdefault(room(name), set()).update({room(target) for target in targets} - {room(name), ""})
    return merged


@pytest.fixture(scope="module")
def graph():
    return imports(PACKAGE)


def test_every_room_has_a_floor(graph):
    assert {room(name) for name in graph} - {""} <= FLOOR_OF.keys()


def test_imports_go_down_only(graph):
    assert upward(graph) == []


def test_neighbouring_rooms_do_not_lean_on_each_other(graph):
    assert circle(rooms(graph)) == []


def test_no_modules_import_each_other_in_a_circle(graph):
    assert circle(graph) == []


@pytest.fixture
def tree(tmp_path):
    """A package whose modules the test fills in."""

    def write(**modules: str) -> dict[str, set[str]]:
        for name, code in modules.items():
            path = tmp_path / "monai_tasks" / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code)
        return imports(tmp_path / "monai_tasks")

    return write


@pytest.mark.parametrize(
    "code",
    [
        "import monai_tasks.cli.run",
        "from monai_tasks.cli import run",
        "from monai_tasks.cli.run import command",
        "from ..cli import run",
        "from ..cli.run import command",
        "def late():\n    from monai_tasks.cli import run",
        "if TYPE_CHECKING:\n    from monai_tasks.cli import run",
    ],
)
def test_the_check_sees_an_import_that_goes_up(tree, code):
    assert upward(tree(io__files=code, cli__run="")) == ["monai_tasks.io.files -> monai_tasks.cli.run"]


def test_the_check_sees_a_circle_through_a_function(tree):
    graph = tree(io__a="from . import b", io__b="def late():\n    import monai_tasks.io.a")
    assert set(circle(graph)) == {"monai_tasks.io.a", "monai_tasks.io.b"}


def test_the_check_sees_neighbours_that_lean_on_each_other(tree):
    graph = tree(
        io__a="import monai_tasks.report.a", report__a="", report__b="import monai_tasks.io.b", io__b=""
    )
    assert circle(graph) == []
    assert set(circle(rooms(graph))) == {"io", "report"}
