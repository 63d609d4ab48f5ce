"""Verdicts by a function of the user's own, `module:function`, in a killable child like any other.

The function gets the completion and the reference, both texts, and returns True, False, None for "cannot say", or one of
the statuses by name. What it raises is `crashed`.
"""

import importlib
from collections.abc import Callable
from typing import Any

from ded_ray.recipe import Verify
from ded_ray.records import Status
from ded_ray.verify.child import Child, ChildCrashed, ChildTimedOut, serve
from ded_ray.verify.verdict import Verdict

RETURNED: dict[Any, Status] = {True: "correct", False: "wrong", None: "unverifiable", "no_answer": "no_answer",
                               "correct": "correct", "wrong": "wrong", "unverifiable": "unverifiable"}  # fmt: skip


def find_function(name: str) -> Callable[[str, str], Any]:
    """The function of that name. Raises ImportError or AttributeError."""
    module, _, function = name.partition(":")
    return getattr(importlib.import_module(module), function)


class OwnVerifier:
    """Calls one function of the user's."""

    def __init__(self, function: str, knobs: Verify) -> None:
        self._function, self._timeout = function, knobs.timeout_seconds
        self._child = Child("ded_ray.verify.own", knobs.memory_bytes, knobs.cpu_seconds)

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
