"""Verdicts on programs: found in the completion, run in the sandbox, and held against tests (cases.py)."""

import math
import re
import shutil
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from ded_ray.models.chat import final_part
from ded_ray.recipe import Code
from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut
from ded_ray.verify.code.cases import Calls, Cases, FunctionTests, parse_tests, same_output
from ded_ray.verify.code.sandbox import Limits, Program, ProgramTimedOut, WallsFailed, find_walls
from ded_ray.verify.verdict import Verdict

_FENCE = re.compile(r"^[ \t]{0,8}```([^\n`]*)$", re.MULTILINE)
_LANGUAGES = {"python", "python3", "py"}


def extract_program(completion: str) -> str | None:
    """The last fenced block of Python after the thinking part, else the last that names no language, else all of that part.

    None when there is nothing, and when an opened fence never closes: the model had not finished its program.
    """
    text = final_part(completion)
    labelled, unlabelled, opened = [], [], None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        else:
            language = opened.group(1).strip().lower()
            if language in _LANGUAGES:
                labelled.append(text[opened.end() + 1 : fence.start()])
            elif not language:
                unlabelled.append(text[opened.end() + 1 : fence.start()])
            opened = None
    if opened is None and (blocks := labelled or unlabelled):  # what stands in an unlabelled one is often an output
        return blocks[-1]
    return text if text.strip() and "```" not in text else None


MAX_EXTRA_BYTES = 64 << 10
"""How much more than four times the wanted output a program may print; more than that is wrong whatever it is."""


class CodeVerifier:
    """Runs programs only in the sandbox; where a machine has none, every verdict is `unverifiable`."""

    def __init__(self, config: Code) -> None:
        self._config, self._walls = config, find_walls(config)
        wall_seconds = config.timeout_seconds
        self._limits = Limits(math.ceil(wall_seconds), config.memory_bytes, config.disk_bytes, wall_seconds)
        self._harness = Child("ded_ray.verify.code.harness", 2 * config.memory_bytes, wall_seconds + 1)
        self._scratch = Path(tempfile.mkdtemp(prefix="ded_ray-"))

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        tests = parse_tests(answer)
        if tests is None or self._walls is None:
            return Verdict("unverifiable")
        program = extract_program(completion)
        if program is None:
            return Verdict("no_answer")
        walls = self._walls.tier
        try:
            passed = self._passes_cases(program, tests) if isinstance(tests, list) else self._passes_calls(program, tests)
        except (ChildTimedOut, ProgramTimedOut):
            return Verdict("timed_out", isolation=walls)
        except (ChildCrashed, WallsFailed, OSError):
            return Verdict("crashed", isolation=walls)
        finally:
            for left in self._scratch.iterdir():  # a killed harness could not tidy up
                shutil.rmtree(left, ignore_errors=True)
        return Verdict("correct" if passed else "wrong", isolation=walls)

    def _passes_cases(self, source: str, cases: Cases) -> bool:
        assert self._walls is not None
        deadline = time.monotonic() + self._config.timeout_seconds
        for given, wanted in cases:
            with Program(
                {"program.py": source}, ["program.py"], given.encode(errors="surrogatepass"), self._limits, self._walls,
                str(self._scratch),
            ) as program:  # fmt: skip
                most = 4 * len(wanted.encode()) + MAX_EXTRA_BYTES
                printed = program.read(deadline, most=most)
                if len(printed) >= most or program.exit_code(deadline) != 0:
                    return False
                if not same_output(printed.decode(errors="replace"), wanted):
                    return False
        return True

    def _passes_calls(self, source: str, tests: FunctionTests | Calls) -> bool:
        assert self._walls is not None
        prelude = ""
        if isinstance(tests, FunctionTests):
            # The prompt ends inside its function, after the docstring: this closes it.
            prelude = f"{tests.prompt}    pass\n\n" if tests.prompt else ""
            defines_it = re.search(rf"^(async )?def {re.escape(tests.entry_point)}\b", source, re.MULTILINE)
            # A completion that does not define the function itself goes on from the prompt.
            source = prelude + source if defines_it else tests.prompt + source
        return self._harness.ask(
            {
                "program": source,
                "prelude": prelude,
                "tests": asdict(tests),
                "limits": asdict(self._limits),
                "walls": asdict(self._walls),
                "scratch": str(self._scratch),
                "timeout_seconds": self._config.timeout_seconds,
            },
            self._config.timeout_seconds,
        )

    def close(self) -> None:
        self._harness.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)
