"""The child that runs a data set's own function tests: asserts here, the model's code in a sandbox of its own.

`candidate` is a stand-in that sends its arguments into the sandbox and returns the plain data that comes back. Where the
tests themselves do not end the parent kills this child, and the kernel the sandbox with it.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ded_ray.records import Status
from ded_ray.verify.child import serve
from ded_ray.verify.code import server as code_server
from ded_ray.verify.code.cases import same_data
from ded_ray.verify.code.sandbox import Limits, Program, ProgramTimedOut, Walls, WallsFailed
from ded_ray.verify.time_budget import TimeBudget


class CandidateFailed(Exception):
    """The model's function raised, gave back something that is not plain data, or its process died."""


def judge(question: dict[str, Any]) -> Status:
    """A verdict: correct where every call gives what is wanted, or `check(candidate)` of the tests returns."""
    try:
        return "correct" if _passes(question) else "wrong"
    except ProgramTimedOut:
        return "timed_out"
    except (WallsFailed, OSError):
        return "crashed"


def _passes(question: dict[str, Any]) -> bool:
    files = {"server.py": Path(code_server.__file__).read_text(), "program.py": question["program"]}
    tests, walls = question["tests"], Walls(**{**question["walls"], "command": tuple(question["walls"]["command"])})
    argv = ["server.py", "program.py", tests["entry_point"]]
    with Program(files, argv, None, Limits(**question["limits"]), walls, question["scratch"]) as program:
        candidate = _stand_in(program, TimeBudget(question["timeout_seconds"]))
        try:
            if "calls" in tests:
                return all(same_data(candidate(*arguments), wanted) for arguments, wanted in tests["calls"])
            # The tests and the prompt's helper functions are the data set's, as trusted as its answers.
            namespace: dict[str, Any] = {"__name__": "tests"}
            exec(question["prelude"], namespace)  # noqa: S102
            exec(tests["tests"], namespace)  # noqa: S102
            namespace[tests["entry_point"]] = candidate  # some tests call the function by its name
            namespace["check"](candidate)
        except (AssertionError, CandidateFailed, TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
            return False
    return True


def _stand_in(program: Program, budget: TimeBudget) -> Callable[..., Any]:
    def candidate(*arguments: Any, **named: Any) -> Any:
        call = json.dumps([code_server.encode(arguments), code_server.encode(named)]).encode() + b"\n"
        reply = b""
        try:
            program.send(call, budget)
            reply = program.read(budget, line=True)
            return code_server.decode(json.loads(reply)["value"])
        except (OSError, ValueError, TypeError, KeyError, StopIteration, RecursionError) as error:
            if not reply:
                program.exited_well(budget)  # it raises where the program ended for lack of time
            raise CandidateFailed from error

    return candidate


if __name__ == "__main__":
    serve(judge)
