"""Format (DED, Method, corpus filtering): strict pairing of think tags."""

from ded_ray.curate.rules.answer import Answer, Case
from ded_ray.models.thinking import think_is_paired
from ded_ray.recipe import Quality

NAME = "think_unpaired"

CASES: list[Case] = [
    (("no tags at all", 3, "?", {}), False),
    (("<think>a</think>b", 3, "?", {}), False),
    (("a</think>b", 3, "?", {}), False),  # the chat template opened it
    (("<think>a", 3, "?", {}), True),
    (("</think>a<think>", 3, "?", {}), True),
    (("<think>a</think></think>b", 3, "?", {}), True),
    (("<think><think>a</think>b", 3, "?", {}), True),
    (("<reasoning>a</reasoning>b", 3, "?", {}), False),
    (("<reasoning>a", 3, "?", {}), True),
    (("<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>final<|message|>b", 3, "?", {}), False),
]


def drops(answer: Answer, config: Quality) -> bool:  # noqa: ARG001  (every rule has the same signature)
    return not think_is_paired(answer.completion)
