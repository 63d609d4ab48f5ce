"""Every error that a user is meant to read, and the exit code that each one ends the command with.

Exception
├── BadInput           2  what the user gave cannot be used
│   └── NoExamples     2  curation and training dropped every example
└── Stopped            1  the run cannot go on, and nothing is lost

The message is one line: file, field, remedy. Any other exception is a fault of ours: its traceback is shown, exit code 1.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

EXIT_FAILED, EXIT_BAD_INPUT = 1, 2


class BadInput(Exception):
    """What the user gave cannot be used. The message is one line: file, field, remedy. The command exits with 2."""


class NoExamples(BadInput):
    """Not one example is left to train on. The smoke test catches it: such a candidate comes last."""


class Stopped(Exception):
    """The run cannot go on, and nothing is lost. The message is one line: why, and the remedy. The command exits with 1."""


@contextmanager
def plain_errors() -> Iterator[None]:
    """Bad input: one line, exit code 2. A stop or an interruption: one line, 1. A failure: its traceback, exit code 1."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a scheduler's stop ends what was started here, like Ctrl-C
    try:
        yield
    except Stopped as error:
        _end(f"{error}; the same command goes on from here", EXIT_FAILED, error)
    except BadInput as error:
        _end(str(error), EXIT_BAD_INPUT, error)
    except KeyboardInterrupt as error:
        _end("interrupted; the same command goes on from here", EXIT_FAILED, error)


def _end(message: str, code: int, error: BaseException) -> NoReturn:
    print(f"ded-ray: {message}", file=sys.stderr)
    raise SystemExit(code) from error
