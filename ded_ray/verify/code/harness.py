"""The child that runs a data set's own function tests: asserts here, the model's code in a sandbox of its own.

`candidate` is a stand-in that sends its arguments into the sandbox and returns the plain data that comes back. Where the
tests themselves do not end the parent kills this child, and the kernel the sandbox with it.
"""

import builtins
import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ded_ray.records import Status
from ded_ray.verify.child import serve
from ded_ray.verify.code import leetcode
from ded_ray.verify.code import server as code_server
from ded_ray.verify.code.anything import Anything
from ded_ray.verify.code.blocks import defines
from ded_ray.verify.code.cases import Calls, FunctionTests, parse_tests
from ded_ray.verify.code.compare import same_data
from ded_ray.verify.code.sandbox import Limits, Program, ProgramTimedOut, Walls, WallsFailed
from ded_ray.verify.time_budget import TimeBudget

TEST_ERRORS = (AssertionError, ArithmeticError, AttributeError, ImportError, LookupError, NameError, OSError, RuntimeError,
               StopIteration, SyntaxError, TypeError, ValueError)  # fmt: skip
"""What a data set's test may raise of its own; anything else is `crashed`."""

EXPECTED = {"ArithmeticError", "AssertionError", "AttributeError", "IndexError", "KeyError", "LookupError", "NameError",
            "NotImplementedError", "OverflowError", "RuntimeError", "StopIteration", "TypeError", "ValueError",
            "ZeroDivisionError"}  # fmt: skip
"""What a test may want the model's function to raise."""


class CandidateFailed(Exception):
    """The model's function raised, gave back something that is not plain data, or its process died."""


class NotPlainData(Exception):
    """A test hands the model's function something that cannot be sent into the sandbox."""


class Candidate:
    """The model's function, as a test calls it."""

    def __init__(self, program: Program, budget: TimeBudget) -> None:
        self._program, self._budget, self.num_calls = program, budget, 0

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        self.num_calls += 1
        try:
            call = json.dumps([code_server.encode(arguments), code_server.encode(named)]).encode() + b"\n"
        except (TypeError, RecursionError) as error:
            raise NotPlainData from error
        received = b""
        try:
            self._program.send(call, self._budget)
            received = self._program.read(self._budget, line=True)
            reply = json.loads(received)
            if reply.get("error") in EXPECTED:
                kind = getattr(builtins, reply["error"])
                raise type(kind.__name__, (CandidateFailed, kind), {})
            return code_server.decode(reply["value"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError, StopIteration, RecursionError) as error:
            if isinstance(error, CandidateFailed):
                raise
            if not received:
                self._program.exited_well(self._budget)  # it raises where the program ended for lack of time
            raise CandidateFailed from error


def judge(question: dict[str, Any]) -> Status:
    """A verdict: correct where every call gives what is wanted, or `check(candidate)` of the tests returns."""
    sys.set_int_max_str_digits(0)  # the kernel limits the time
    tests, walls = (
        parse_tests(question["answer"]),
        Walls(**{**question["walls"], "command": tuple(question["walls"]["command"])}),
    )
    assert isinstance(tests, Calls | FunctionTests)
    is_leetcode = isinstance(tests, Calls) or tests.is_leetcode
    modules = {"server.py": code_server, "leetcode.py": leetcode}
    files = {name: Path(str(module.__file__)).read_text() for name, module in modules.items()}
    files["program.py"] = whole_program(question["program"], tests)
    argv = ["server.py", "program.py", tests.entry_point, str(is_leetcode)]
    try:
        with Program(files, argv, None, Limits(**question["limits"]), walls, question["scratch"]) as program:
            candidate = Candidate(program, TimeBudget(question["timeout_seconds"]))
            if isinstance(tests, Calls):
                return _judge_calls(tests, candidate, question["tolerance"])
            return _judge_check(tests, candidate)
    except ProgramTimedOut:
        return "timed_out"
    except (WallsFailed, OSError):
        return "crashed"


def whole_program(source: str, tests: FunctionTests | Calls) -> str:
    """With the helpers of the prompt; a completion that does not define the function itself goes on from the prompt."""
    if isinstance(tests, Calls):
        return source
    return tests.helpers + source if defines(source, tests.entry_point) else tests.prompt + source


def _judge_calls(tests: Calls, candidate: Candidate, tolerance: float) -> Status:
    try:
        for arguments, allowed in tests.calls:
            returned = candidate(*arguments)
            if not any(same_data(returned, wanted, tolerance) for wanted in allowed):
                return "wrong"
    except CandidateFailed:
        return "wrong"
    return "correct"


def _judge_check(tests: FunctionTests, candidate: Candidate) -> Status:
    """The tests and the prompt's helpers are the data set's, as trusted as its answers: but they may be broken."""
    try:
        check = _load_check(tests, candidate)
    except TEST_ERRORS:
        return "unverifiable"
    try:
        check(candidate)
    except (AssertionError, CandidateFailed):
        return "wrong" if candidate.num_calls else "unverifiable"
    except NotPlainData:
        return "unverifiable"
    except TEST_ERRORS as error:
        return "unverifiable" if not candidate.num_calls or _is_its_own(error, tests) else "wrong"
    return "correct" if candidate.num_calls else "unverifiable"  # a test that calls nothing says nothing


def _load_check(tests: FunctionTests, candidate: Callable[..., Any]) -> Callable[..., Any]:
    namespace: dict[str, Any] = {"__name__": "tests"}
    if tests.is_leetcode:
        namespace["__builtins__"] = leetcode.names()
    exec(tests.helpers, namespace)  # noqa: S102
    exec(compile(tests.tests, "<tests>", "exec"), namespace)  # noqa: S102
    namespace[tests.entry_point] = candidate  # some tests call the function by its name
    return namespace["check"]


def _is_its_own(error: Exception, tests: FunctionTests) -> bool:
    """Whether a test fails in this way whatever the model's function returns, or may do so.

    It is run again with a value that takes part in everything. Where it then ends at another place, with an assertion that
    this value cannot pass, it stays unknown.
    """
    try:
        _load_check(tests, Anything())(Anything())
    except TEST_ERRORS as other:
        return _place(other) == _place(error) or _place(other)[1] != _place(error)[1]
    return False


def _place(error: Exception) -> tuple[str, int]:
    """(the error's kind, the line of the tests that it came from, 0 for none of them)."""
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<tests>"]
    return type(error).__name__, lines[-1] if lines else 0


if __name__ == "__main__":
    serve(judge)
