"""What every part of a recipe is: a frozen pydantic model with strict names."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt


class Config(BaseModel):
    """A part of a recipe: frozen, and strict about names, so that a mistyped knob is an error and not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    SPEED: ClassVar[frozenset[str]] = frozenset()
    """Knobs that change how fast a result comes, and not the result: no stage is made again when they change."""

    ADDED: ClassVar[frozenset[str]] = frozenset()
    """Knobs that count only once they are set: their default is what was done before there was such a knob."""

    def identity(self) -> dict[str, Any]:
        """All knobs that decide the result, those of nested parts included."""
        unset = {name for name in self.ADDED if getattr(self, name) == type(self).model_fields[name].default}
        whole = self.model_dump(mode="json", exclude=set(self.SPEED) | unset)
        parts = {name: value.identity() for name, value in self if isinstance(value, Config) and name in whole}
        return whole | parts


Rate = Annotated[float, Field(ge=0, le=1)]


def _in_order(workers: int | tuple[int, int]) -> int | tuple[int, int]:
    if isinstance(workers, tuple) and workers[0] > workers[1]:
        raise ValueError("the first of [min, max] is larger than the second")
    return workers


Workers = Annotated[PositiveInt | tuple[PositiveInt, PositiveInt], AfterValidator(_in_order)]
"""Number of actors, or [min, max]: Ray Data then starts as many as there is work and room for."""


def least_and_most(workers: int | tuple[int, int]) -> tuple[int, int]:
    """(smallest, largest) number of actors."""
    return (workers, workers) if isinstance(workers, int) else workers
