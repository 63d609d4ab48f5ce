"""The child that runs a data set's own function tests: asserts here, the model's code in a sandbox of its own.

`candidate` is a stand-in that sends its arguments into the sandbox and returns the plain data that comes back. The
parent kills this child at the deadline, and the kernel kills the sandbox with it.
"""

import json
import time
from pathlib import Path
from typing import Any

from ded_ray.verify import code_server
from ded_ray.verify.child import serve
from ded_ray.verify.sandbox import Limits, Program


class CandidateFailed(Exception):
    """The model's function raised, gave back something that is not plain data, or its process died."""


def passes(question: dict[str, Any]) -> bool:
    """Whether `check(candidate)` of the tests returns. False for a failed assertion or a candidate that failed."""
    server = Path(code_server.__file__).read_text()
    files = {"server.py": server, "program.py": question["program"]}
    argv = ["server.py", "program.py", question["entry_point"]]
    with Program(files, argv, None, Limits(**question["limits"]), question["tier"], question["scratch"]) as program:

        def candidate(*arguments: Any, **named: Any) -> Any:
            call = json.dumps([code_server.encode(arguments), code_server.encode(named)]).encode() + b"\n"
            try:
                program.send(call)
                reply = json.loads(program.read(time.monotonic() + question["timeout_seconds"], line=True))
                return code_server.decode(reply["value"])
            except (OSError, ValueError, TypeError, KeyError, StopIteration, RecursionError) as error:
                raise CandidateFailed from error

        # The tests and the prompt's helper functions are the data set's, as trusted as its answers.
        namespace: dict[str, Any] = {"__name__": "tests"}
        exec(question["prelude"], namespace)  # noqa: S102
        exec(question["tests"], namespace)  # noqa: S102
        namespace[question["entry_point"]] = candidate  # some tests call the function by its name
        try:
            namespace["check"](candidate)
        except (AssertionError, CandidateFailed, TypeError, ValueError, LookupError, ArithmeticError, AttributeError):
            return False
    return True


if __name__ == "__main__":
    serve(passes)
