"""The cells of a row, typed: keys, references, options. What is of no known type is one clear error, never its `str()`."""

import json
import math
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ded_ray.errors import BadInput

MAX_OPTIONS = 26
_NUMBER = re.compile(r"[+-]?\d{1,18}(?:[./]\d{1,18})?", re.ASCII)
_NUMBER_WORDS = re.compile(
    r"(?:(?:zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|(?:thir|four|fif|six|seven|eigh|nine)teen"
    r"|(?:twen|thir|for|fif|six|seven|eigh|nine)ty|hundred|thousand|million|and|half)[\s-]{0,2}){1,20}",
    re.IGNORECASE,
)
_LIST_OF_TEXTS = re.compile(r'\s{0,9}\[\s{0,9}".*"\s{0,9}\]\s{0,9}', re.DOTALL)
_IN_MATHEMATICS = re.compile(r"\$([^$]*)\$|\\\((.*)\\\)|\\\[(.*)\\\]", re.DOTALL)


def is_missing(value: Any) -> bool:
    """Null, NaN, an empty text or an empty list: nothing was given."""
    if isinstance(value, str | bytes):
        return not value.strip()
    if isinstance(value, list | tuple):
        return all(item is None for item in value)
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def cell(row: dict[str, Any], name: str) -> Any:
    """The value of a column, `a.b` for the field b of the objects in column a; None where there is none."""
    outer, dot, inner = name.partition(".")
    if name not in row and dot and isinstance(row.get(outer), dict):
        return cell(row[outer], inner)
    return row.get(name)


def has_column(row: dict[str, Any], name: str) -> bool:
    """Whether the row has the column, or the one of whose objects `name` is a field."""
    return name in row or ("." in name and name.partition(".")[0] in row)


def present(row: dict[str, Any], name: str, where: str, knob: str = "") -> Any:
    """The row's value in a column, which may hold nothing. Raises BadInput when there is no such column."""
    if not has_column(row, name):
        remedy = f"set {knob} to one of: " if knob else "there are: "
        raise BadInput(f"{where}: no column `{name}`; {remedy}{', '.join(map(str, row)) or 'none'}")
    return cell(row, name)


def column(row: dict[str, Any], name: str, where: str, knob: str = "") -> Any:
    """The row's value in a column. Raises BadInput when there is no such column, or nothing in it."""
    value = present(row, name, where, knob)
    if is_missing(value):
        kind = "null" if value is None else "an empty text" if isinstance(value, str | bytes) else "nothing"
        raise BadInput(f"{where}: {kind} in column `{name}`; fill it in, or remove the row")
    return value


def each_sample(value: Any, count: int, where: str, name: str) -> list[Any]:
    """A cell of a row with `count` samples, for each of them: a list of as many, or one for all. Raises BadInput."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise BadInput(f"{where}: {count} completions but {len(value)} of `{name}`; give one for each")
    return value


def as_text(value: Any, where: str = "", name: str = "") -> str:
    """A text as it is, UTF-8 bytes as text, a number by its digits (1e-07 is 0.0000001), true as True.

    Raises BadInput for anything else.
    """
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise BadInput(f"{where}: `{name}` holds bytes that are not UTF-8; make it a text") from error
    if isinstance(value, str | bool):
        return str(value)
    if isinstance(value, int) or (isinstance(value, float | Decimal) and math.isfinite(value)):
        try:
            return str(value) if isinstance(value, int) else format(Decimal(str(value)), "f")
        except ValueError as error:  # Python writes no integer of more than 4,300 digits
            raise BadInput(f"{where}: `{name}` holds a number of too many digits; make it a text") from error
    raise BadInput(f"{where}: `{name}` holds a {type(value).__name__} ({value!r:.40}), not a text or a number; make it one")


def as_answer(
    value: Any, verifier: str, options: tuple[list[str], list[str]] | None = None, *, where: str = "", name: str = "answer"
) -> str:
    """A reference as text. Raises BadInput.

    A list is its only member; of mathematics ("math") all of its members as one answer, each value once, and numbers in
    words (`four` beside `4`) left out as other names of it. Programs and a user's own verifier get
    lists and objects as JSON. For multiple choice the letter of the right option, where the value is the option's label
    (OpenBookQA, ARC), a letter, or the option's index (MMLU: 0 is A); an option's text stays as it is.
    """
    if verifier == "math" and isinstance(value, str) and _LIST_OF_TEXTS.fullmatch(value):
        value = _list_of_texts(value) or value
    if isinstance(value, list | tuple) and len(value) == 1 and verifier in {"math", "choice"}:
        return as_answer(value[0], verifier, options, where=where, name=name)
    if verifier == "math" and isinstance(value, list | tuple):
        return _all_of(value, where, name)
    if verifier == "choice":
        return _option(value, options, where, name)
    if isinstance(value, list | tuple | dict) and verifier != "math":
        return as_json(value, where, name)
    return as_text(value, where, name)


def as_json(value: Any, where: str, name: str) -> str:
    """Lists and objects as JSON text. Raises BadInput for what they hold that JSON has no word for."""
    try:
        return json.dumps(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadInput(f"{where}: `{name}` cannot be written as JSON ({error}); make it a text") from error


def _list_of_texts(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) and all(isinstance(item, str) for item in found) else None


def _all_of(values: Sequence[Any], where: str, name: str) -> str:
    if any(isinstance(value, list | tuple | dict) or is_missing(value) for value in values):
        raise BadInput(f"{where}: `{name}` is a list with a list, an object or nothing in it; make its members texts")
    members: dict[Any, str] = {}
    for value in values:
        text = as_text(value, where, name).strip()
        if wrapped := _IN_MATHEMATICS.fullmatch(text):
            text = next(group for group in wrapped.groups() if group is not None).strip()
        members.setdefault(Fraction(text) if _NUMBER.fullmatch(text) and not text.endswith("/0") else text, text)
    formulas = [text for text in members.values() if not _NUMBER_WORDS.fullmatch(text)]
    return ", ".join(formulas or members.values())


def _option(value: Any, options: tuple[list[str], list[str]] | None, where: str, name: str) -> str:
    if isinstance(value, list | tuple):
        raise BadInput(f"{where}: `{name}` names {len(value)} options; multiple choice needs one that is right")
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # an index out of a column that has empty cells
    texts, labels = options or ([], [])
    text = as_text(value, where, name).strip()
    if text in labels:
        return letter(labels.index(text))
    is_index = type(value) is int or (text.isascii() and text.isdigit() and len(text) < 3 and text not in texts)
    return letter(int(text)) if is_index and 0 <= int(text) < (len(texts) or MAX_OPTIONS) else text


def read_options(value: Any) -> tuple[list[str], list[str]] | None:
    """(texts, labels) of a list of texts (MMLU), of {"text": [...], "label": [...]} (OpenBookQA, ARC), of a list of
    {"text", "label"}, of {"A": text, "B": text, ...} (MedQA), or of one of these as JSON text; the labels are A, B, C ...
    where none are given. None for anything else.
    """
    if isinstance(value, str | bytes):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    texts, labels = _texts_and_labels(value)
    if not texts or len(texts) > MAX_OPTIONS or (labels and len(labels) != len(texts)):
        return None
    if not labels or None in labels:
        labels = [letter(index) for index in range(len(texts))]
    try:
        return [as_text(text) for text in texts], [as_text(label) for label in labels]
    except BadInput:  # an option that is null, or an object, is none
        return None


def _texts_and_labels(value: Any) -> tuple[list[Any], list[Any]]:
    if isinstance(value, dict) and isinstance(value.get("text"), list):
        return value["text"], value["label"] if isinstance(value.get("label"), list) else []
    if isinstance(value, dict):
        names = sorted(value)
        while names and value[names[-1]] is None:  # Parquet gives all rows the fields of the row that has most
            names.pop()
        lettered = names == [letter(index) for index in range(min(len(names), MAX_OPTIONS))]
        return ([value[each] for each in names], names) if lettered else ([], [])
    if isinstance(value, list) and value and all(isinstance(option, dict) and "text" in option for option in value):
        return [option["text"] for option in value], [option.get("label") for option in value]
    return (value, []) if isinstance(value, list) else ([], [])


def letter(index: int) -> str:
    return chr(ord("A") + index)
