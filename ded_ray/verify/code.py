"""Verdicts on programs: tests on standard input and output, or a data set's own test function.

The reference is a JSON object: {"inputs": [...], "outputs": [...]} (APPS, TACO), {"cases": [{"input", "output"}, ...]}
or a bare list of such cases (LiveCodeBench, Codeforces), or {"test": "def check(candidate): ...", "entry_point": "f",
"prompt": "..."} (HumanEval; the prompt's own functions are helpers of both sides).
"""

import json
import re
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from ded_ray.recipe import Code
from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut
from ded_ray.verify.extract import final_part
from ded_ray.verify.sandbox import Limits, Program, ProgramTimedOut, WallsFailed, best_tier
from ded_ray.verify.verdict import Verdict

_FENCE = re.compile(r"^```(?:python3?|py)?[ \t]*\n(.*?)^```", re.DOTALL | re.MULTILINE | re.IGNORECASE)


def extract_program(completion: str) -> str | None:
    """The last fenced block after the thinking part, else all of that part; None when there is nothing.

    An opened fence that never closes is no program: the model had not finished it.
    """
    text = final_part(completion)
    blocks = _FENCE.findall(text)
    if blocks:
        return blocks[-1]
    return text if text.strip() and "```" not in text else None


@dataclass(frozen=True, slots=True)
class FunctionTests:
    tests: str
    entry_point: str
    prompt: str


Cases = list[tuple[str, str]]


def parse_tests(answer: str) -> Cases | FunctionTests | None:
    """What a reference asks for; None when it is none of the known forms."""
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    if isinstance(found, dict) and "test" in found and "entry_point" in found:
        return FunctionTests(str(found["test"]), str(found["entry_point"]), str(found.get("prompt", "")))
    if isinstance(found, dict) and "inputs" in found and "outputs" in found:
        inputs, outputs = found["inputs"], found["outputs"]
        # `fn_name` asks for a function called with the inputs: not a form that is known here.
        if "fn_name" in found or not (isinstance(inputs, list) and isinstance(outputs, list)) or len(inputs) != len(outputs):
            return None
        return [(_text(i), _text(o)) for i, o in zip(inputs, outputs, strict=True)] or None
    cases = found.get("cases") if isinstance(found, dict) else found
    if isinstance(cases, list) and cases and all(isinstance(c, dict) and {"input", "output"} <= c.keys() for c in cases):
        return [(_text(case["input"]), _text(case["output"])) for case in cases]
    return None


def _text(value: Any) -> str:
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


def same_output(printed: str, wanted: str) -> bool:
    """Equal line by line and word by word; two numbers are equal by value (1.0 and 1), never nearly."""
    lines = [[line.split() for line in text.strip().splitlines()] for text in (printed, wanted)]
    return len(lines[0]) == len(lines[1]) and all(
        len(a) == len(b) and all(x == y or _same_number(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(*lines, strict=True)
    )


def _same_number(first: str, second: str) -> bool:
    if len(first) > 50 or len(second) > 50:
        return False
    try:
        return Decimal(first) == Decimal(second)
    except InvalidOperation:
        return False


class CodeVerifier:
    """Runs programs only in the sandbox; where a machine has none, every verdict is `unverifiable`."""

    def __init__(self, knobs: Code) -> None:
        self._knobs, self._tier = knobs, best_tier(knobs.isolation)
        self._limits = Limits(int(knobs.timeout_seconds) + 1, knobs.memory_bytes, knobs.disk_bytes)
        self._harness = Child("ded_ray.verify.code_harness", 2 * knobs.memory_bytes)
        self._scratch = Path(tempfile.mkdtemp(prefix="ded_ray-"))

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        tests = parse_tests(answer)
        if tests is None or self._tier is None:
            return Verdict("unverifiable")
        program = extract_program(completion)
        if program is None:
            return Verdict("no_answer")
        try:
            if isinstance(tests, FunctionTests):
                passed = self._passes_function_tests(program, tests)
            else:
                passed = self._passes_cases(program, tests)
        except (ChildTimedOut, ProgramTimedOut):
            return Verdict("timed_out")
        except (ChildCrashed, WallsFailed):
            return Verdict("crashed")
        finally:
            for left in self._scratch.iterdir():  # a killed harness could not tidy up
                shutil.rmtree(left, ignore_errors=True)
        return Verdict("correct" if passed else "wrong")

    def _passes_cases(self, source: str, cases: Cases) -> bool:
        assert self._tier is not None
        deadline = time.monotonic() + self._knobs.timeout_seconds
        for given, wanted in cases:
            with Program(
                {"program.py": source}, ["program.py"], given.encode(), self._limits, self._tier, str(self._scratch)
            ) as program:
                printed = program.read(deadline).decode(errors="replace")
                if program.exit_code(deadline) != 0 or not same_output(printed, wanted):
                    return False
        return True

    def _passes_function_tests(self, source: str, tests: FunctionTests) -> bool:
        # The prompt ends inside its function, after the docstring: this closes it.
        prelude = f"{tests.prompt}    pass\n\n" if tests.prompt else ""
        defines_it = re.search(rf"^(async )?def {re.escape(tests.entry_point)}\b", source, re.MULTILINE)
        return self._harness.ask(
            {
                # A completion that does not define the function itself goes on from the prompt.
                "program": prelude + source if defines_it else tests.prompt + source,
                "prelude": prelude,
                "tests": tests.tests,
                "entry_point": tests.entry_point,
                "limits": asdict(self._limits),
                "tier": self._tier,
                "scratch": str(self._scratch),
                "timeout_seconds": self._knobs.timeout_seconds,
            },
            self._knobs.timeout_seconds,
        )

    def close(self) -> None:
        self._harness.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)
