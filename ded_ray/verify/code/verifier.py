"""Verdicts on programs: found in the completion (blocks.py), run in the sandbox, and held against tests (cases.py)."""

import math
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path

from ded_ray.recipe import Code
from ded_ray.records import Status
from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut
from ded_ray.verify.code.blocks import extract_program
from ded_ray.verify.code.cases import Cases, Tests, UnreadableTests, parse_tests
from ded_ray.verify.code.compare import same_output
from ded_ray.verify.code.sandbox import Limits, Program, ProgramTimedOut, WallsFailed, find_walls
from ded_ray.verify.time_budget import TimeBudget, wall_limit
from ded_ray.verify.verdict import Verdict

CONTAINER_FACTOR = 5
"""A program in a container may be hidden from us, and looks asleep while it computes: it gets so many times the wall clock.
The kernel counts its CPU time there too."""

MAX_EXTRA_BYTES = 64 << 10
"""How much more than four times the wanted output a program may print; more than that is wrong whatever it is."""


class CodeVerifier:
    """Runs programs only in the sandbox; where a machine has none, every verdict is `unverifiable`."""

    def __init__(self, config: Code) -> None:
        self._config, self._walls = config, find_walls(config)
        in_container = config.isolation == "container"
        self._seconds = config.timeout_seconds * (CONTAINER_FACTOR if in_container else 1)
        self._limits = Limits(
            cpu_seconds=math.ceil(config.timeout_seconds) + 1,
            memory_bytes=config.memory_bytes,
            disk_bytes=config.disk_bytes,
            wall_seconds=wall_limit(self._seconds),
        )
        self._harness = Child("ded_ray.verify.code.harness", 2 * config.memory_bytes, config.timeout_seconds + 1)
        self._scratch = Path(tempfile.mkdtemp(prefix="ded_ray-"))

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        if self._walls is None:
            return Verdict("unverifiable")
        try:
            tests = parse_tests(answer)
        except UnreadableTests:
            return Verdict("unverifiable")
        program = extract_program(completion, None if isinstance(tests, list) else tests.entry_point)
        if program is None:
            return Verdict("no_answer")
        status = self._status(program, tests, answer)
        if status == "crashed":  # of walls that could not be built, mostly: on a machine without room for a moment
            status = self._status(program, tests, answer)
        return Verdict(status, isolation=self._walls.tier)

    def _status(self, program: str, tests: Tests, answer: str) -> Status:
        try:
            if not isinstance(tests, list):
                return self._judge_calls(program, answer)
            return "correct" if self._passes_cases(program, tests) else "wrong"
        except (ChildTimedOut, ProgramTimedOut):
            return "timed_out"
        except (ChildCrashed, WallsFailed, OSError):
            return "crashed"
        finally:
            for left in self._scratch.iterdir():  # a killed harness could not tidy up
                shutil.rmtree(left, ignore_errors=True)

    def _passes_cases(self, source: str, cases: Cases) -> bool:
        assert self._walls is not None
        budget = TimeBudget(self._seconds)
        for given, wanted in cases:
            with Program(
                {"program.py": source}, ["program.py"], given.encode(errors="surrogatepass"), self._limits, self._walls,
                str(self._scratch),
            ) as program:  # fmt: skip
                most = 4 * len(wanted.encode()) + MAX_EXTRA_BYTES
                printed = program.read(budget, most=most)
                if len(printed) >= most or not program.exited_well(budget):
                    return False
                if not same_output(printed.decode(errors="replace"), wanted, self._config.tolerance):
                    return False
        return True

    def _judge_calls(self, source: str, answer: str) -> Status:
        assert self._walls is not None
        return self._harness.ask(
            {
                "program": source,
                "answer": answer,
                "tolerance": self._config.tolerance,
                "limits": asdict(self._limits),
                "walls": asdict(self._walls),
                "scratch": str(self._scratch),
                "timeout_seconds": self._seconds,
            },
            self._seconds,
        )

    def close(self) -> None:
        self._harness.stop()
        shutil.rmtree(self._scratch, ignore_errors=True)
