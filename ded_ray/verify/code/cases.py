"""The forms in which data sets write tests, and how a program's output is compared with what they want.

A reference is a JSON object: {"inputs": [...], "outputs": [...]} (APPS, TACO), {"cases": [{"input", "output"}, ...]} or
a bare list of such cases (LiveCodeBench, Codeforces) for standard input and output; the same with "fn_name" for calls of
a function, or of a method of that name in `class Solution`; or {"test": "def check(candidate): ...", "entry_point": "f",
"prompt": "..."} (HumanEval; the prompt's own functions are helpers of both sides).
"""

import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Cases = list[tuple[str, str]]
"""What a program is given on standard input, and what it must print."""


@dataclass(frozen=True, slots=True)
class FunctionTests:
    """A test function of the data set's own, `check(candidate)`."""

    tests: str
    entry_point: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Calls:
    """Arguments of a function and what it must return, as plain data."""

    entry_point: str
    calls: list[tuple[list[Any], Any]]


def parse_tests(answer: str) -> Cases | FunctionTests | Calls | None:
    """What a reference asks for; None when it is none of the known forms, or asks for nothing."""
    try:
        found = json.loads(answer)
    except (ValueError, RecursionError):
        return None
    if isinstance(found, dict) and "test" in found and "entry_point" in found:
        return FunctionTests(str(found["test"]), str(found["entry_point"]), str(found.get("prompt", "")))
    pairs = _pairs(found)
    if not pairs:
        return None
    if isinstance(found, dict) and found.get("fn_name"):
        try:
            return Calls(str(found["fn_name"]), [(_arguments(given), _data(wanted)) for given, wanted in pairs])
        except ValueError:
            return None
    return [(_text(given), _text(wanted)) for given, wanted in pairs]


def _pairs(found: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(found, dict) and "inputs" in found and "outputs" in found:
        inputs, outputs = found["inputs"], found["outputs"]
        if not (isinstance(inputs, list) and isinstance(outputs, list)) or len(inputs) != len(outputs):
            return None
        return list(zip(inputs, outputs, strict=True))
    cases = found.get("cases") if isinstance(found, dict) else found
    if isinstance(cases, list) and all(isinstance(c, dict) and {"input", "output"} <= c.keys() for c in cases):
        return [(case["input"], case["output"]) for case in cases]
    return None


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def _arguments(value: Any) -> list[Any]:
    """APPS writes a list of arguments, LiveCodeBench a text with one JSON value per line."""
    return [json.loads(line) for line in value.splitlines() if line.strip()] if isinstance(value, str) else list(value)


def _data(value: Any) -> Any:
    """LiveCodeBench writes results as JSON text; a text that is none is meant as it stands."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def same_data(returned: Any, wanted: Any) -> bool:
    """Equal as JSON would have it: a tuple is a list. APPS also wraps a single result in a list."""
    returned = _as_json(returned)
    return returned == wanted or [returned] == wanted


def _as_json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    return value


def same_output(printed: str, wanted: str) -> bool:
    """Equal line by line and word by word; two numbers are equal by value (1.0 and 1), never nearly."""
    lines = [[line.split() for line in text.strip().splitlines()] for text in (printed, wanted)]
    return len(lines[0]) == len(lines[1]) and all(
        len(a) == len(b) and all(x == y or _same_number(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(*lines, strict=True)
    )


_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{1,40})?(?:[eE][-+]?[0-9]{1,3})?")


def _same_number(first: str, second: str) -> bool:
    """By value; digits with leading zeros are a text."""
    return bool(_NUMBER.fullmatch(first) and _NUMBER.fullmatch(second)) and Decimal(first) == Decimal(second)
