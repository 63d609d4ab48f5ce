"""Examples as token sequences: the prompt in the student's own chat template, the completion, the end token."""

from dataclasses import dataclass

from ded_ray.models.chat import ChatTokenizer
from ded_ray.records import Example


@dataclass(frozen=True, slots=True)
class Sequence:
    """One example in tokens. The loss is on the completion and its end token."""

    prompt_ids: list[int]
    completion_ids: list[int]
    weight: float

    @property
    def length(self) -> int:
        return len(self.prompt_ids) + len(self.completion_ids)


def to_sequence(example: Example, chat: ChatTokenizer) -> Sequence:
    return Sequence(*chat.sequence_ids(example.prompt, example.completion), example.weight)
