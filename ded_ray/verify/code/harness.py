"""The child that runs a data set's own function tests: asserts here, the model's code in a sandbox of its own.

`candidate` is a stand-in that sends its arguments into the sandbox and returns the plain data that comes back. The
parent kills this child at the deadline, long before its own, and the kernel kills the sandbox with it.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ded_ray.verify.child import serve
from ded_ray.verify.code import server as code_server
from ded_ray.verify.code.cases import same_data
from ded_ray.verify.code.sandbox import Limits, Program, Walls


class CandidateFailed(Exception):
    """The model's function raised, gave back something that is not plain data, or its process died."""


def passes(question: dict[str, Any]) -> bool:
    """Whether the program passes: every call gives what is wanted, or `check(candidate)` of the tests returns."""
    files = {"server.py": Path(code_server.__file__).read_text(), "program.py": question["program"]}
    tests, walls = question["tests"], Walls(**{**question["walls"], "command": tuple(question["walls"]["command"])})
    argv = ["server.py", "program.py", tests["entry_point"]]
    with Program(files, argv, None, Limits(**question["limits"]), walls, question["scratch"]) as program:
        candidate = _stand_in(program, time.monotonic() + 2 * question["timeout_seconds"])
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


def _stand_in(program: Program, deadline: float) -> Callable[..., Any]:
    def candidate(*arguments: Any, **named: Any) -> Any:
        call = json.dumps([code_server.encode(arguments), code_server.encode(named)]).encode() + b"\n"
        try:
            program.send(call, deadline)
            return code_server.decode(json.loads(program.read(deadline, line=True))["value"])
        except (OSError, ValueError, TypeError, KeyError, StopIteration, RecursionError) as error:
            raise CandidateFailed from error

    return candidate


if __name__ == "__main__":
    serve(passes)
