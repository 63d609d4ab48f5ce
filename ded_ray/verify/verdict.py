"""What a verifier says of one answer, and the one protocol that all verifiers share."""

from dataclasses import dataclass
from typing import Protocol

from ded_ray.records import CHECKED, Status


@dataclass(frozen=True, slots=True)
class Verdict:
    """`extracted` is the answer that was found, None when there was none."""

    status: Status
    extracted: str | None = None

    @property
    def reward(self) -> float | None:
        """1 for correct, 0 for any other checked answer, None when it could not be checked."""
        return float(self.status == "correct") if self.status in CHECKED else None


class Verifier(Protocol):
    """Compares one finished completion with the reference answer; never raises for what the completion holds."""

    def verify(self, completion: str, answer: str, choices: list[str]) -> Verdict: ...

    def close(self) -> None: ...
