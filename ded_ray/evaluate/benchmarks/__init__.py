"""Known benchmarks, a file each: where its rows are, what they are called, how it is asked, and who says so.

    benchmark("aime24").PROBLEMS      # knobs of FileProblems (recipe/problems.py)

`problems: {kind: benchmark, name: aime24}` in a recipe, or `ded-ray evaluate --benchmarks aime24`, means one of these.
`path` there names a local file with the same columns. None of their rows come with this package.
"""

import importlib
import pkgutil
from types import ModuleType

NAMES = tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))

BOXED = "Put your final answer within \\boxed{}."
"""Said below a problem of mathematics: verifiers find an answer in a box in whatever prose it stands."""

LETTER = "Answer with the letter of the right option within \\boxed{}."


def benchmark(name: str) -> ModuleType:
    """The module of a benchmark: its PROBLEMS and NUM_SAMPLES. Raises KeyError for an unknown one."""
    if name not in NAMES:
        raise KeyError(name)
    return importlib.import_module(f"{__name__}.{name}")
