"""What the cluster has while a step runs, and what the step could use, written down for the report.

watch = Watch(folder / "cluster.jsonl", "train", wanted=train)
watch.note()          # now and then; a line every NOTE_SECONDS at most
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from ded_ray.files.lines import append_line
from ded_ray.runtime.needs import Needs

NOTE_SECONDS = 10


class Watch:
    """`wanted` are the actors and tasks that the step holds when all of them have room."""

    def __init__(self, file: Path, step: str, wanted: Sequence[Needs]) -> None:
        self._file, self._step, self._noted = file, step, 0.0
        self._wanted = {
            "cpus_wanted": sum(needs.all_cpus for needs in wanted),
            "gpus_wanted": sum(needs.most * needs.num_gpus * needs.shards for needs in wanted),
        }

    def note(self) -> None:
        if time.monotonic() - self._noted >= NOTE_SECONDS:
            self._noted = time.monotonic()
            append_line(self._file, {"time": round(time.time(), 1), "step": self._step, **self._wanted, **cluster_now()})


def cluster_now() -> dict[str, Any]:
    """Nodes that are alive, and logical CPUs and GPUs: there, and held by somebody."""
    there, free = ray.cluster_resources(), ray.available_resources()
    found: dict[str, Any] = {"nodes": sum(node["Alive"] for node in ray.nodes())}
    for name, resource in (("cpus", "CPU"), ("gpus", "GPU")):
        found[name] = there.get(resource, 0.0)
        found[f"{name}_held"] = round(max(0.0, there.get(resource, 0.0) - free.get(resource, 0.0)), 2)
    return found
