"""Correctness (DED, Method, corpus filtering): right answers only; its verdicts come from "rule verification and
LLM-as-a-judge". `keep_wrong` also trains on what was checked and found wrong, as AdvDistill does, at its low weight.

A truncated answer would teach to never stop, and one that could not be checked is no evidence: neither is ever trained on.
"""

from typing import Any

from ded_ray.recipe import Quality
from ded_ray.records import Status

CASES: list[tuple[tuple[Status | None, dict[str, Any]], str | None]] = [
    (("correct", {}), None),
    (("wrong", {}), "wrong"),
    (("wrong", {"keep_wrong": True}), None),
    (("no_answer", {}), "no_answer"),
    (("no_answer", {"keep_wrong": True}), None),
    (("truncated", {"keep_wrong": True}), "truncated"),
    (("timed_out", {"keep_wrong": True}), "timed_out"),
    (("crashed", {"keep_wrong": True}), "crashed"),
    (("unverifiable", {"keep_wrong": True}), "unverifiable"),
    ((None, {"keep_wrong": True}), "unverifiable"),
]
"""((verdict, knobs of Quality), why it is dropped)"""


def reason_to_drop(status: Status | None, config: Quality) -> str | None:
    """The verdict's own name; None for one that may be trained on."""
    if status == "correct" or (config.keep_wrong and status in {"wrong", "no_answer"}):
        return None
    return status or "unverifiable"
