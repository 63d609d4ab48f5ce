"""The forms in which data sets write tests.

A reference is a JSON object: {"inputs": [...], "outputs": [...]} (APPS, TACO), {"cases": [{"input", "output"}, ...]} or
a bare list of such cases (LiveCodeBench, Codeforces) for standard input and output; the same with the name of a function
(`fn_name`, or `func_name` of `metadata`) for calls of it, or of a method of that name in `class Solution`; or {"test":
"def check(candidate): ...", "entry_point": "f", "prompt": "..."} (HumanEval; the prompt's own functions are helpers of both
sides). What is none of these is never taken for one of them: UnreadableTests says why.
"""

import ast
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Cases = list[tuple[str, str]]
"""What a program is given on standard input, and what it must print."""

STANDARD_INPUT = {"stdin", "stdin_stdout", "standard_input"}
FUNCTIONAL = {"functional", "function_call", "call_based"}
"""What cases call their own form, as `testtype` (LiveCodeBench) or `type`."""

MAX_DIGITS = 1_000_000
_BUILTIN_GENERICS = re.compile(r"\b(?:List|Dict|Set|Tuple|Optional|Union|Deque|Iterable)\[")


class UnreadableTests(ValueError):
    """Nothing here understands these tests; the message says why in a few words."""


@dataclass(frozen=True, slots=True)
class FunctionTests:
    """A test function of the data set's own, `check(candidate)`."""

    tests: str
    entry_point: str
    prompt: str
    helpers: str  # the prompt as a program of its own, its last function closed; '' where it is none
    is_leetcode: bool  # its prompt uses names that LeetCode has imported


@dataclass(frozen=True, slots=True)
class Calls:
    """Arguments of a function, and what it may return, as plain data."""

    entry_point: str
    calls: list[tuple[list[Any], list[Any]]]


Tests = Cases | FunctionTests | Calls


def why_unreadable(answer: str) -> str | None:
    """Why nothing here can read these tests, in a few words; None when they can be read."""
    try:
        parse_tests(answer)
    except UnreadableTests as reason:
        return str(reason)
    return None


def parse_tests(answer: str) -> Tests:
    """What a reference asks for. Raises UnreadableTests when it is none of the known forms, or asks for nothing."""
    try:
        found = json.loads(answer, parse_int=_integer)
    except (ValueError, RecursionError) as error:
        raise UnreadableTests("its tests are not JSON") from error
    if isinstance(found, dict) and "test" in found and "entry_point" in found:
        return _function_tests(found)
    cases = _cases(found)
    whole = found if isinstance(found, dict) else {}
    if _is_functional([whole, *cases]):
        names = {name for part in [whole, *cases] if (name := _function_name(part))}
        if len(names) != 1:
            raise UnreadableTests(f"its tests call {'several functions' if names else 'a function that nothing names'}")
        return Calls(names.pop(), [_call(case["input"], case["output"]) for case in cases])
    return [(_text(case["input"]), _text(case["output"])) for case in cases]


def _integer(digits: str) -> int:
    """Python converts no more than 4,300 digits, because that is slow; by way of decimal it is not."""
    if len(digits) > MAX_DIGITS:
        raise ValueError
    return int(digits) if len(digits) < 1000 else int(Decimal(digits))


def _cases(found: Any) -> list[dict[str, Any]]:
    """Every case with its `input` and `output`."""
    cases: Any
    if isinstance(found, dict) and "inputs" in found and "outputs" in found:
        inputs, outputs = found["inputs"], found["outputs"]
        if not (isinstance(inputs, list) and isinstance(outputs, list)) or len(inputs) != len(outputs):
            raise UnreadableTests("its inputs and outputs are not lists of one length")
        cases = [{"input": given, "output": wanted} for given, wanted in zip(inputs, outputs, strict=True)]
    else:
        cases = found.get("cases", found.get("test_cases")) if isinstance(found, dict) else found
        if not isinstance(cases, list) or not all(isinstance(c, dict) and {"input", "output"} <= c.keys() for c in cases):
            raise UnreadableTests("its tests are of no known form")
    if not cases:
        raise UnreadableTests("it has no tests")
    return cases


def _is_functional(parts: list[dict[str, Any]]) -> bool:
    """Whether the cases are calls: because they say so, or because a function is named and nothing is said."""
    kinds = {str(part["testtype"]).lower() for part in parts if part.get("testtype") is not None}
    kinds |= {kind for part in parts if (kind := str(part.get("type"))) in STANDARD_INPUT | FUNCTIONAL}
    if kinds - STANDARD_INPUT - FUNCTIONAL or (kinds & STANDARD_INPUT and kinds & FUNCTIONAL):
        raise UnreadableTests(f"its tests are of a type that is not known: {', '.join(sorted(kinds)):.40}")
    return bool(kinds & FUNCTIONAL) or (not kinds and any(map(_function_name, parts)))


def _function_name(part: dict[str, Any]) -> str | None:
    """The function that tests call: `fn_name`, or LiveCodeBench's `func_name` in `metadata`, which may be JSON text."""
    metadata = part.get("metadata")
    if isinstance(metadata, str):
        try:
            metadata = json.loads(metadata)
        except (ValueError, RecursionError):
            metadata = None
    for holder in (part, metadata if isinstance(metadata, dict) else {}):
        for key in ("fn_name", "func_name", "entry_point"):
            if name := holder.get(key):
                return _plain_name(name)
    return None


def _plain_name(name: Any) -> str:
    """`two_sum` of `two_sum`, `Solution().two_sum` and `Solution.two_sum`."""
    name = re.sub(r"^Solution(?:\(\))?\.", "", name.strip()) if isinstance(name, str) else ""
    if not name.isidentifier():
        raise UnreadableTests("the name of its function is none")
    return name


def _call(given: Any, wanted: Any) -> tuple[list[Any], list[Any]]:
    """APPS writes a list of arguments, and may wrap a result in a list; LiveCodeBench a text with one JSON value per line,
    and the result as JSON text too. Only there is a text decoded: beside a list it is meant as it stands.
    """
    if not isinstance(given, str):
        if isinstance(given, dict):
            raise UnreadableTests("its arguments have names")
        arguments = given if isinstance(given, list) else [given]
        return arguments, [wanted, wanted[0]] if isinstance(wanted, list) and len(wanted) == 1 else [wanted]
    try:
        arguments = [json.loads(line, parse_int=_integer) for line in given.splitlines() if line.strip()]
    except (ValueError, RecursionError) as error:
        raise UnreadableTests("its arguments are not JSON") from error
    try:
        return arguments, [json.loads(wanted, parse_int=_integer) if isinstance(wanted, str) else wanted]
    except (ValueError, RecursionError):
        return arguments, [wanted]  # a text without quotes


def _text(value: Any) -> str:
    """A text, a number, or a list of lines."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if isinstance(value, str):
        return value
    if type(value) is int:
        return str(Decimal(value))
    if type(value) is float:
        return str(value)
    raise UnreadableTests("its cases hold data, but no function to call")


def _function_tests(found: dict[str, Any]) -> FunctionTests:
    tests, prompt = found["test"], found.get("prompt") or ""
    if not isinstance(tests, str) or not isinstance(prompt, str):
        raise UnreadableTests("its test is not a text")
    try:
        nodes = list(ast.walk(ast.parse(tests)))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableTests("its test is not Python") from error
    bound = {getattr(node, "name", None) or getattr(node, "id", None) for node in nodes}
    if "check" not in bound:
        raise UnreadableTests("its test defines no `check`")
    is_leetcode = "class Solution" in prompt or "Solution" in str(found["entry_point"])
    is_leetcode = is_leetcode or ("typing" not in prompt and bool(_BUILTIN_GENERICS.search(prompt)))
    return FunctionTests(tests, _plain_name(found["entry_point"]), prompt, _helpers(prompt), is_leetcode)


def _helpers(prompt: str) -> str:
    """The prompt may end inside its function, after the docstring, which a `pass` closes; or be whole; or be prose."""
    for end in ("    pass\n\n", "        pass\n\n", "\n\n"):
        try:
            ast.parse(prompt + end)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        return prompt + end if prompt else ""
    return ""
