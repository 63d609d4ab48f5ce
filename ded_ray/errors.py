"""Every error that a user is meant to read, and the exit code that each one ends the command with.

Exception
├── BadInput           2  what the user gave cannot be used
│   └── NoExamples     2  curation and training dropped every example
└── Stopped            1  the run cannot go on, and nothing is lost

The message is one line: file, field, remedy. Any other exception is a fault of ours: its traceback is shown, exit code 1.
"""

EXIT_FAILED, EXIT_BAD_INPUT = 1, 2


class BadInput(Exception):
    """What the user gave cannot be used. The message is one line: file, field, remedy. The command exits with 2."""


class NoExamples(BadInput):
    """Not one example is left to train on. The smoke test catches it: such a candidate comes last."""


class Stopped(Exception):
    """The run cannot go on, and nothing is lost. The message is one line: why, and the remedy. The command exits with 1."""
