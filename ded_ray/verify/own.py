"""Verdicts by a function of the user's own, `module:function`, in a killable child like any other.

The function gets the completion and the reference, both texts, and returns True, False, None for "cannot say", or one of
the statuses by name. What it raises is `crashed`.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.recipe import Verify
from ded_ray.records import Status, stable_hash
from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut, serve
from ded_ray.verify.verdict import Verdict

RETURNED: dict[Any, Status] = {True: "correct", False: "wrong", None: "unverifiable", "no_answer": "no_answer",
                               "correct": "correct", "wrong": "wrong", "unverifiable": "unverifiable"}  # fmt: skip


def find_function(name: str) -> Callable[[str, str], Any]:
    """The function of that name. Raises ImportError or AttributeError."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


def check_function(name: str, knob: str) -> str:
    """Raise BadInput when a verifier of the user's own, `module:function`, is not there; else a hash of its module's
    text, '' for verifiers that come with the package.
    """
    if ":" not in name:
        return ""
    module, _, function = name.partition(":")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        imported = find_function(name)
    except ImportError as error:
        raise BadInput(f"{knob}: {name!r} cannot be imported ({error}); put the module into {folder}") from error
    except AttributeError:
        imported = None
    if not callable(imported):
        raise BadInput(f"{knob}: there is no function {function!r} in {module}; write it as (completion, answer) -> bool")
    return stable_hash(Path(sys.modules[module].__file__ or "").read_text())


class OwnVerifier:
    """Calls one function of the user's."""

    def __init__(self, function: str, config: Verify) -> None:
        self._function, self._timeout = function, config.timeout_seconds
        self._child = Child("ded_ray.verify.own", config.memory_bytes, config.cpu_seconds)

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict:
        question = {"function": self._function, "completion": completion, "answer": answer}
        try:
            return Verdict(self._child.ask(question, self._timeout))
        except ChildTimedOut:
            return Verdict("timed_out")
        except ChildCrashed:
            return Verdict("crashed")

    def close(self) -> None:
        self._child.stop()


def answer_one(question: dict[str, str]) -> Status:
    """The child's side. Raises KeyError for what is no verdict."""
    return RETURNED[find_function(question["function"])(question["completion"], question["answer"])]


if __name__ == "__main__":
    serve(answer_one)
