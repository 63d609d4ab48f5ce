"""Length (DED, Method, corpus filtering): "remove len > 16k"; the unit is not stated, we count the student's tokens."""

from ded_ray.curate.rules.answer import Answer, Case
from ded_ray.recipe import Quality

NAME = "over_max_tokens"

CASES: list[Case] = [
    (("any", 10, "?", {"max_tokens": 10}), False),
    (("any", 11, "?", {"max_tokens": 10}), True),
    (("any", 10**9, "?", {}), False),
]


def drops(answer: Answer, config: Quality) -> bool:
    return config.max_tokens is not None and answer.num_tokens > config.max_tokens
