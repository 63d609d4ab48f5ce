"""What every part of a recipe is: a frozen pydantic model with strict names."""

from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PositiveInt


class Config(BaseModel):
    """A part of a recipe: frozen, and strict about names, so that a mistyped knob is an error and not a default."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())

    SPEED: ClassVar[frozenset[str]] = frozenset()
    """Knobs that change how fast a result comes, and not the result: no stage is made again when they change."""

    ADDED: ClassVar[frozenset[str]] = frozenset()
    """Knobs that earlier versions do not have: at their defaults they do what those did, and no stage is made again."""

    def identity(self) -> dict[str, Any]:
        """All knobs that decide the result, those of nested parts included."""
        defaults = {name for name in self.ADDED if getattr(self, name) == type(self).model_fields[name].default}
        whole = self.model_dump(mode="json", exclude={*self.SPEED, *defaults})
        return {name: _identity_of(value, whole[name]) for name, value in self if name in whole}


def _identity_of(value: Any, dumped: Any) -> Any:
    if isinstance(value, Config):
        return value.identity()
    if isinstance(value, tuple):
        return [_identity_of(item, each) for item, each in zip(value, dumped, strict=True)]
    return dumped


Rate = Annotated[float, Field(ge=0, le=1)]


def _in_order(workers: int | tuple[int, int]) -> int | tuple[int, int]:
    if isinstance(workers, tuple) and workers[0] > workers[1]:
        raise ValueError("the first of [min, max] is larger than the second")
    return workers


Workers = Annotated[PositiveInt | tuple[PositiveInt, PositiveInt], AfterValidator(_in_order)]
"""Number of actors, or [min, max]: Ray Data then starts as many as there is work and room for."""


_LABEL = r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"

LabelSelector = dict[
    Annotated[str, Field(pattern=rf"^([a-z0-9.-]+/)?{_LABEL}$")],
    Annotated[str, Field(pattern=rf"^!?({_LABEL}|in\({_LABEL}(,{_LABEL})*\))$")],
]
"""Labels that a node must have, in Ray's words: {ray.io/market-type: spot}, "!spot", "in(spot,on-demand)" (with a
space Ray would wait for ever). They count on a cluster: a Ray that is started here has one node, which will do."""


def least_and_most(workers: int | tuple[int, int]) -> tuple[int, int]:
    """(smallest, largest) number of actors."""
    return (workers, workers) if isinstance(workers, int) else workers
