"""Pools of pods for a recipe: as many as hold at once what `needs.py` says that its hungriest step holds.

    for pool in run_pools(recipe):
        print(pool)   # cpu: 0 to 2 pods of 8 CPUs and 32 GiB, most in "teacher answers"

Pods of one pool are alike. Those of `cpu` hold verifiers, curation and all else without a GPU, those of `rollouts` engines
and replicas, those of `training` the gang of training workers.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ded_ray.recipe import Recipe
from ded_ray.runtime.needs import Needs, serve_needs, step_needs

CPUS_PER_POD = 8
GPUS_PER_NODE = 8
CPUS_PER_GPU = 8
GIB_PER_CPU = 4
"""A guess: a verifier holds half a CPU, and its child may take 2 GiB (`verify.memory_bytes`)."""
GIB_PER_GPU = 64
"""A guess: weights pass through main memory, and an optimiser that is offloaded stays there."""


@dataclass(frozen=True)
class Pool:
    """Pods that are alike: how many at least and at most, and what each of them has."""

    name: str
    least: int
    most: int
    cpus: int
    gpus: int
    step: str  # the one that needs the most of them

    @property
    def memory_gib(self) -> int:
        return self.gpus * GIB_PER_GPU if self.gpus else self.cpus * GIB_PER_CPU

    def __str__(self) -> str:
        gpus = f"{self.gpus} GPU{'s' if self.gpus > 1 else ''}, " if self.gpus else ""
        pods = f"{self.least} to {self.most} pod{'s' if self.most > 1 else ''}"
        return f'{self.name}: {pods} of {gpus}{self.cpus} CPUs and {self.memory_gib} GiB, most in "{self.step}"'


def run_pools(recipe: Recipe) -> list[Pool]:
    """For a whole run: nothing is there before it is needed, and nothing stays when it no longer is."""
    steps = step_needs(recipe)
    # A gang of workers is like one engine that is spread over as many GPUs.
    gang = {
        "train": [Needs(n.step, n.num_cpus, n.num_gpus, shards=n.most) for n in steps["train"] if n.num_gpus],
    }
    rollouts = {name: step for name, step in steps.items() if name != "train"}
    return [*_cpu_pool(steps), *_gpu_pool("rollouts", rollouts), *_gpu_pool("training", gang)]


def serving_pools(recipe: Recipe) -> list[Pool]:
    """For the student's endpoint alone: as many pods as its replicas need, at least and at most."""
    steps = {"serving": [serve_needs(recipe.serve, recipe.student.engine)]}
    return _gpu_pool("serving", steps, stay=True) or _cpu_pool(steps, stay=True)


def _cpu_pool(steps: Mapping[str, Sequence[Needs]], *, stay: bool = False) -> list[Pool]:
    held = {name: [needs for needs in step if not needs.num_gpus] for name, step in steps.items()}
    cpus = max(CPUS_PER_POD, math.ceil(max(needs.num_cpus for step in held.values() for needs in step)))
    most = {name: _pods((n.num_cpus for n in step for _ in range(n.most)), cpus) for name, step in held.items()}
    least = max(_pods((n.num_cpus for n in step for _ in range(n.least)), cpus) for step in held.values())
    step = max(most, key=lambda name: most[name])
    return [Pool("cpu", least if stay else 0, most[step], cpus, 0, step)]


def _gpu_pool(name: str, steps: Mapping[str, Sequence[Needs]], *, stay: bool = False) -> list[Pool]:
    """None where no step needs a GPU. A pod holds the largest engine, or as much of it as one machine has GPUs for."""
    held = {step: [needs for needs in parts if needs.num_gpus] for step, parts in steps.items()}
    everyone = [needs for parts in held.values() for needs in parts]
    if not everyone:
        return []
    gpus = min(GPUS_PER_NODE, math.ceil(max(needs.num_gpus * needs.shards for needs in everyone)))
    cpus = max(CPUS_PER_GPU * gpus, math.ceil(max(gpus / needs.num_gpus * needs.num_cpus for needs in everyone)))
    most = {step: _pods((p for n in parts for p in _parts(n, n.most, gpus)), gpus) for step, parts in held.items()}
    least = max(_pods((p for n in parts for p in _parts(n, n.least, gpus)), gpus) for parts in held.values())
    step = max(most, key=lambda step: most[step])
    return [Pool(name, least if stay else 0, most[step], cpus, gpus, step)]


def _parts(needs: Needs, count: int, gpus: int) -> Iterable[float]:
    """GPUs of so many engines, each in pieces that fit into a pod."""
    whole, rest = divmod(needs.num_gpus * needs.shards, gpus)
    return [*[gpus] * int(whole), *([rest] if rest else [])] * count


def _pods(sizes: Iterable[float], pod: float) -> int:
    """How many pods of that size hold all of these: each goes, largest first, where there is still room."""
    free: list[float] = []
    for size in sorted(sizes, reverse=True):
        i = next((i for i, room in enumerate(free) if room >= size), len(free))
        if i == len(free):
            free.append(pod)
        free[i] -= size
    return len(free)
