"""What every part of a recipe is: frozen knobs with strict names; and the one error for what a user gave."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt


class BadInput(Exception):
    """What the user gave cannot be used. The message is one line: file, field, remedy. The command exits with 2."""


class Stopped(Exception):
    """The run cannot go on, and nothing is lost. The message is one line: why, and the remedy. The command exits with 1."""


class Knobs(BaseModel):
    """A part of a recipe: frozen, and strict about names, so that a mistyped knob is an error and not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    SPEED: ClassVar[frozenset[str]] = frozenset()
    """Knobs that change how fast a result comes, not what it is: changing them makes nothing again."""

    def identity(self) -> dict[str, Any]:
        """All knobs that have a say in the result, those of its parts included."""
        whole = self.model_dump(mode="json", exclude=set(self.SPEED))
        parts = {name: value.identity() for name, value in self if isinstance(value, Knobs) and name in whole}
        return whole | parts


Rate = Annotated[float, Field(ge=0, le=1)]


def _in_order(workers: int | tuple[int, int]) -> int | tuple[int, int]:
    if isinstance(workers, tuple) and workers[0] > workers[1]:
        raise ValueError("the first of [min, max] is larger than the second")
    return workers


Workers = Annotated[PositiveInt | tuple[PositiveInt, PositiveInt], AfterValidator(_in_order)]
"""So many actors; or [min, max], as many as Ray Data finds work and room for."""


def least_and_most(workers: int | tuple[int, int]) -> tuple[int, int]:
    return (workers, workers) if isinstance(workers, int) else workers
