"""Reads a recipe: one YAML file, `--set a.b=c` overrides on top, and errors that name the file, the knob and the remedy."""

import os
import typing
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ded_ray.errors import BadInput
from ded_ray.models.load import HUB_DATA
from ded_ray.recipe import Grade, Prices, Recipe
from ded_ray.recipe.grade import ColumnName


def load_recipe(path: str | Path, overrides: list[str] | None = None) -> Recipe:
    """Read a recipe and apply `a.b=c` overrides (values are YAML; list items by index).

    Relative data paths are resolved against the recipe's folder. Raises BadInput with the file, the field and the
    remedy in one line.
    """
    return recipe_of(_mapping(Path(path) if isinstance(path, str) else path, "recipe"), path, overrides)


def load_prices(path: Path | None, gpu_memory_gib: float | None = None) -> Prices:
    """Read what GPUs are and cost; without a file nothing has a price. `gpu_memory_gib` goes before the file's. Raises
    BadInput."""
    raw = {} if path is None else _mapping(path, "file of prices")
    given = {} if gpu_memory_gib is None else {"gpu_memory_gib": gpu_memory_gib}
    try:
        return Prices.model_validate({**raw, **given})
    except ValidationError as error:
        raise BadInput(f"{path or '--gpu-memory'}: {_first_error(error, raw, known=Prices)}") from error


def _mapping(path: Path, what: str) -> dict[str, Any]:
    try:
        raw = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror}); name an existing {what} (.yaml)") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(raw, dict):
        raise BadInput(f"{path}: a {what} is a mapping of knobs, this is {'empty' if raw is None else 'not one'}")
    return raw


def recipe_of(raw: dict[str, Any], source: str | Path, overrides: list[str] | None = None) -> Recipe:
    """A recipe of knobs as YAML has them, with `a.b=c` overrides; `source` is where they are from. Raises BadInput."""
    for override in overrides or []:
        _apply_override(raw, override)
    _resolve_paths(raw, (Path(source) if isinstance(source, str) else source).parent.absolute())
    try:
        return Recipe.model_validate(raw)
    except ValidationError as error:
        raise BadInput(f"{source}: {_first_error(error, raw)}") from error


def grade_config(verifier: str = "math", overrides: list[str] | None = None, *, columns: str = "") -> Grade:
    """The knobs of `ded-ray grade`: the defaults, as many verifiers as there are cores, and `a.b=c` overrides on top.

    `columns` is what the file calls its columns, `prompt=problem,completion=generations`.
    """
    raw: dict[str, Any] = {"verifier": verifier, "verify": {"workers": [1, max(2, os.cpu_count() or 1)]}}
    raw["columns"] = dict(_column_pair(pair) for pair in filter(None, columns.split(",")))
    for override in overrides or []:
        _apply_override(raw, override)
    try:
        return Grade.model_validate(raw)
    except ValidationError as error:
        reason = _first_error(error, known=Grade)
        raise BadInput(f"--{reason}" if reason.startswith("verifier:") else f"--set {reason}") from error


def _column_pair(pair: str) -> tuple[str, str]:
    name, separator, source = (part.strip() for part in pair.partition("="))
    if not separator or not source or name not in typing.get_args(ColumnName):
        raise BadInput(f"--columns {pair}: write it as NAME=COLUMN; the names are {', '.join(typing.get_args(ColumnName))}")
    return name, source


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise BadInput(f"--set {override}: write it as a.b=value")
    *parents, last = key.split(".")
    if parents == ["teachers"] and isinstance(raw.get("teachers"), list) and not last.isdecimal():
        raw["teachers"] = {"candidates": raw["teachers"]}  # what the list is short for has knobs of its own
    node: Any = raw
    try:
        value = yaml.safe_load(text)
        for name in parents:
            node = node[int(name)] if isinstance(node, list) else node.setdefault(name, {})
        node[int(last) if isinstance(node, list) else last] = value
    except (ValueError, IndexError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise BadInput(f"--set {override}: there is no such knob to set ({error})") from error


def _resolve_paths(node: Any, folder: Path) -> None:
    """Make every path, and every `model` that is a folder, absolute, in place: a run goes on from anywhere."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, str) and _is_path(key, value, folder):
            node[key] = str((folder / value).resolve())
        elif isinstance(value, dict | list):
            _resolve_paths(value, folder)


def _is_path(key: str | int, value: str, folder: Path) -> bool:
    if "://" in value:
        return False
    if key == "path" and HUB_DATA.fullmatch(value) and not (folder / value).exists():
        return False  # a data set of the hub
    return (
        key in {"path", "lora"} or (key == "model" and (folder / value).is_dir()) or (key == "template" and "{" not in value)
    )


def _first_error(error: ValidationError, raw: Any = None, *, known: type[BaseModel] = Recipe) -> str:
    """The first of pydantic's errors as one line: knob, what is wrong, and the names that would be right."""
    first = error.errors()[0]
    # pydantic names the member of a union by its tag; that is not a part of the knob's name.
    tags = {"tiny", "file", "benchmark", "transformers", "vllm", "openai", "replay", "scripted", "ddp", "deepspeed"}
    knob = ".".join(str(part) for part in first["loc"] if part not in tags)
    knob = _as_written(knob, raw if isinstance(raw, dict) else {})
    if first["type"] == "extra_forbidden":
        names = [name for name in _all_names(known) if name != first["loc"][-1]]  # one of another part's is no help
        near = get_close_matches(str(first["loc"][-1]), names, n=1)
        return f"{knob}: unknown knob" + (f"; did you mean `{near[0]}`?" if near else "; see ded_ray/recipe/ for all")
    message = first["msg"].removeprefix("Value error, ")
    given = "" if first["type"] in {"missing", "value_error"} else f" (given: {first['input']!r})"
    return f"{knob}: {message}{given}" if knob else f"{message}{given}"


def _as_written(knob: str, raw: dict[str, Any]) -> str:
    """The knob's name in the short form that the recipe has."""
    if isinstance(raw.get("teacher"), dict):
        knob = knob.replace("teachers.candidates.0", "teacher", 1)
    if isinstance(raw.get("teachers"), list):
        knob = knob.replace("teachers.candidates", "teachers", 1)
    if not isinstance(raw.get("problems"), list) and knob.startswith("problems.0"):
        knob = knob.replace("problems.0", "problems", 1)
    return knob


def _all_names(config: type[BaseModel]) -> list[str]:
    names: list[str] = []
    pending: list[Any] = [config]
    while pending:
        hint = pending.pop()
        if isinstance(hint, type) and issubclass(hint, BaseModel):
            names += hint.model_fields
            pending += [f.annotation for f in hint.model_fields.values()]
        else:
            pending += typing.get_args(hint)
    return sorted(set(names))
