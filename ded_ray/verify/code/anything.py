"""A value that takes part in every operation: what a broken test of a data set trips over, it trips over with it too."""

from collections.abc import Callable, Iterator
from typing import Any

_ITSELF = [
    *("neg", "pos", "abs", "invert", "round", "trunc", "floor", "ceil", "getitem", "enter", "divmod", "rdivmod"),
    *("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "pow", "lshift", "rshift", "and", "xor", "or"),
    *(
        "radd",
        "rsub",
        "rmul",
        "rmatmul",
        "rtruediv",
        "rfloordiv",
        "rmod",
        "rpow",
        "rlshift",
        "rrshift",
        "rand",
        "rxor",
        "ror",
    ),
]
_TRUE = ["eq", "ne", "lt", "le", "gt", "ge", "contains", "bool"]


class Anything:
    """Equal to, greater and smaller than everything; its items, attributes and results are itself."""

    def __getattr__(self, name: str) -> "Anything":
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_: Any, **__: Any) -> "Anything":
        return self

    def __iter__(self) -> Iterator["Anything"]:
        return iter([self])

    def __len__(self) -> int:
        return 1

    def __index__(self) -> int:
        return 1

    def __float__(self) -> float:
        return 1.0

    def __hash__(self) -> int:
        return 0

    def __setitem__(self, key: Any, value: Any) -> None: ...

    def __exit__(self, *_: Any) -> None: ...


def _returns(value: Any) -> Callable[..., Any]:
    return lambda self, *_, **__: self if value is None else value


for _name in _ITSELF:
    setattr(Anything, f"__{_name}__", _returns(None))
for _name in _TRUE:
    setattr(Anything, f"__{_name}__", _returns(True))
