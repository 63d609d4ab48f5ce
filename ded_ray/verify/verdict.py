"""What a verifier says of one answer, and the one protocol that all verifiers share."""

from dataclasses import dataclass
from typing import Protocol

from ded_ray.records import Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules say of one completion."""

    status: Status
    extracted: str | None = None  # the answer that was found
    isolation: str | None = None  # code only: the walls behind which the program really ran; None when nothing ran


class Verifier(Protocol):
    """Compares one finished completion with the reference answer; never raises for what the completion holds."""

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict: ...

    def close(self) -> None: ...
