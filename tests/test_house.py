"""The house keeps its own rules: imports go one way, light stays light, the linters are content."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PACKAGE = PROJECT / "ded_ray"

FLOORS = [
    {"errors", "records", "models"},
    {"recipe", "files", "tiny", "evaluate"},
    {"runtime", "run", "sources", "teachers"},
    {"generate", "verify", "curate", "train"},
    {"serve", "plan"},
    {"report"},
    {"stages"},
    {"pipeline"},
    {"cli"},
]
"""A room imports from the floors below it, never from its own or from above."""

TORCH_FILES = {
    "tiny/make.py", *(f"models/{name}.py" for name in ("surprisal", "weights", "key_values", "sampling")),
    *(f"generate/engines/{name}.py" for name in ("transformers", "continuous", "attention")),
}  # fmt: skip
RAY_FILES = {
    "generate/worker.py",
    "train/checkpoints.py",
    "train/worker.py",
    "serve/embedded.py",
    "serve/one_process.py",
    "serve/vllm_app.py",
}
"""Beside `*/ray_*.py` and `runtime/`: what runs inside actors."""


def floor_of(room: str) -> int:
    return next(i for i, floor in enumerate(FLOORS) if room in floor)


def imported_modules(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_one_way(path: Path) -> None:
    room = room_of(path)
    for module in imported_modules(path):
        if not module.startswith("ded_ray."):
            continue
        other = module.split(".")[1]
        if other == room:
            continue
        assert floor_of(other) < floor_of(room), f"{room} may not import {other}"


def top_level_modules(path: Path) -> set[str]:
    """What a file imports when it is imported."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
    return names


def test_only_these_files_import_torch() -> None:
    for path in sources():
        if any(module.split(".")[0] == "torch" for module in imported_modules(path)):
            name = str(path.relative_to(PACKAGE))
            assert room_of(path) == "train" or name in TORCH_FILES, f"{name} imports torch"


def test_only_entry_points_import_ray_at_the_top() -> None:
    for path in sources():
        if "ray" in top_level_modules(path):
            name = str(path.relative_to(PACKAGE))
            assert path.name.startswith("ray_") or room_of(path) == "runtime" or name in RAY_FILES, f"{name} imports ray"


def test_only_one_file_imports_vllm() -> None:
    importing = {path for path in sources() for module in imported_modules(path) if module.split(".")[0] == "vllm"}
    assert importing == {PACKAGE / "generate" / "engines" / "vllm.py"}


def test_only_stages_and_the_report_know_a_runs_folder() -> None:
    for path in sources():
        if room_of(path) not in {"run", "stages", "report", "pipeline", "cli"}:
            assert "ded_ray.run" not in imported_modules(path), f"{path} knows a run's folder"


def test_few_loose_files_and_few_positional_parameters() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "cli", "pipeline", "run", "records", "errors"}
    for path in sources():
        tree = ast.parse(path.read_text())
        private = [each for each in ast.walk(tree) if isinstance(each, ast.ClassDef) and each.name.startswith("_")]
        hidden = {id(node) for each in private for node in ast.walk(each)}
        for node in (node for node in ast.walk(tree) if id(node) not in hidden):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and not node.name.startswith("_")
                and path.stem != "cli"
            ):
                positional = [a.arg for a in [*node.args.posonlyargs, *node.args.args] if a.arg not in {"self", "cls"}]
                assert len(positional) <= 4, f"{path}:{node.lineno} {node.name} has {len(positional)} positional parameters"


def test_every_door_has_an_example() -> None:
    for path in sources():
        if path.name.startswith("ray_"):
            docstring = ast.get_docstring(ast.parse(path.read_text()), clean=False) or ""
            assert "\n    " in docstring, f"{path} has no example in its docstring"


def test_no_drawers_and_no_catch_alls() -> None:
    # Everything that a hostile answer or program raises ends in the verifier's children; a row that finds a bug of a
    # verifier ends in the plan; whatever keeps an engine from loading is told in one line; a Ray that cannot start raises
    # nothing but Exception; who waits for a token must learn that none will come; a stream whose status was sent long ago
    # can only say it in an event; what a store raises is up to its library.
    boundaries = {
        "verify/child.py", "verify/code/server.py", "verify/worker.py", "generate/worker.py", "runtime/connect.py",
        "generate/engines/continuous.py", "serve/embedded.py", "files/store_errors.py",
    }  # fmt: skip
    for path in sources():
        assert path.stem not in {"utils", "common", "helpers", "base", "manager", "misc"}
        assert len(path.read_text().splitlines()) <= 300, f"{path}: two ideas in one file?"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and (
                node.type is None or getattr(node.type, "id", "") in {"Exception", "BaseException"}
            ):
                assert str(path.relative_to(PACKAGE)) in boundaries, f"{path}:{node.lineno} catches everything"


def test_loading_a_recipe_imports_neither_torch_nor_ray() -> None:
    code = (
        "import sys, ded_ray, ded_ray.cli, ded_ray.recipe.load as r;"
        "r.load_recipe('ded_ray/tiny/quickstart.yaml');"
        "print(sorted({'torch', 'ray', 'transformers', 'vllm', 'pyarrow'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT, check=True)
    assert found.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["ruff check", "ruff format", "mypy"],
)
def test_linters_are_content(command: list[str]) -> None:
    found = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=PROJECT)
    assert found.returncode == 0, found.stdout + found.stderr
