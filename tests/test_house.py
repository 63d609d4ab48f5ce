"""The house keeps its own rules: imports go one way, light stays light, the linters are content."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parent.parent
PACKAGE = PROJECT / "ded_ray"

FLOORS = [
    {"records", "thinking"},
    {"knobs"},
    {"recipe", "recipe_file"},
    {"run", "progress", "machine", "user_files"},
    {"tiny"},
    {"surprisal"},
    {"sources", "generate", "verify", "curate", "train"},
    {"teachers", "serve", "evaluate"},
    {"report"},
    {"tally", "inputs", "judging"},
    {"stages"},
    {"smoke"},
    {"pipeline"},
    {"cli"},
]
SAME_FLOOR_ALLOWED = {"recipe", "recipe_file", "run", "progress", "machine", "user_files"}
TORCH_ROOMS = {"train", "tiny", "generate/transformers_engine.py", "surprisal.py"}


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
        assert floor_of(other) < floor_of(room) or {room, other} <= SAME_FLOOR_ALLOWED, f"{room} may not import {other}"


def test_only_these_files_import_torch() -> None:
    for path in sources():
        if any(module.split(".")[0] == "torch" for module in imported_modules(path)):
            name = str(path.relative_to(PACKAGE))
            assert room_of(path) in TORCH_ROOMS or name in TORCH_ROOMS, f"{name} imports torch"


def test_only_one_file_imports_vllm() -> None:
    importing = {path.name for path in sources() for module in imported_modules(path) if module.split(".")[0] == "vllm"}
    assert importing == {"vllm_engine.py"}


def test_no_drawers_and_no_catch_alls() -> None:
    # Everything that a hostile answer or program raises ends in the verifier's children; a row that finds a bug of a
    # verifier ends in the plan; whatever keeps an engine from loading is told in one line.
    boundaries = {"verify/child.py", "verify/code_server.py", "verify/plan.py", "generate/answering.py"}
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
        "import sys, ded_ray, ded_ray.cli, ded_ray.recipe_file as r;"
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
