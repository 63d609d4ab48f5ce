"""What a run has spent so far, kept in a file of its own, and the caps of `recipe.budget`.

    spending = Spending(folder / "spent.json", recipe.budget)
    with spending.step("train", gpus=8) as why_over:
        why_over()   # counts until now; a line when a cap is passed, else None

The file has an object per step: `seconds` of wall clock, and `gpu_hours`. A kill costs it no more than SAVE_SECONDS.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ded_ray.errors import Stopped
from ded_ray.files.folders import read_whole
from ded_ray.files.parts import write_atomically
from ded_ray.recipe import Budget

SAVE_SECONDS = 15

WhyOver = Callable[[], str | None]


def read_spent(file: Path) -> dict[str, dict[str, float]]:
    """{"seconds": ..., "gpu_hours": ...} by step; nothing where nothing was spent yet."""
    return json.loads(read_whole(file)) if file.exists() else {}


class Spending:
    """`endpoint_usd` says what endpoints have cost so far; `clock` counts seconds."""

    def __init__(
        self,
        file: Path,
        budget: Budget,
        endpoint_usd: Callable[[], float] = lambda: 0.0,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file, self._budget, self._endpoint_usd, self._clock = file, budget, endpoint_usd, clock
        self._steps, self._lock = read_spent(file), threading.Lock()

    @contextmanager
    def step(self, name: str, gpus: float) -> Iterator[WhyOver]:
        """Count while the block runs; any thread may call what it yields. Raises Stopped where a cap is passed already."""
        bill = self._endpoint_usd()
        if why := self._why_over(bill):
            raise Stopped(why)
        spent = self._steps.setdefault(name, {"seconds": 0.0, "gpu_hours": 0.0})
        counted = saved = self._clock()

        def count(over: bool = False) -> str | None:
            nonlocal counted, saved, bill
            with self._lock:
                now = self._clock()
                spent["seconds"] += now - counted
                spent["gpu_hours"] += gpus * (now - counted) / 3600
                counted = now
                if over or now - saved >= SAVE_SECONDS:
                    saved, bill = now, self._endpoint_usd()
                    write_atomically(self._file, json.dumps(self._steps))
                return self._why_over(bill)

        try:
            yield count
        finally:
            count(over=True)

    def _why_over(self, endpoint_usd: float) -> str | None:
        gpu_hours = sum(step["gpu_hours"] for step in self._steps.values())
        usd = endpoint_usd + gpu_hours * (self._budget.usd_per_gpu_hour or 0)
        for knob, cap, spent in (
            ("max_gpu_hours", self._budget.max_gpu_hours, gpu_hours),
            ("max_usd", self._budget.max_usd, usd),
        ):
            if cap is not None and spent >= cap:
                return f"budget.{knob}: {spent:.4g} are spent, and the cap is {cap:g}; raise it"
        return None
