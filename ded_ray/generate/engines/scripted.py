"""A fake at the engine seam: knows the reference answers, errs and is cut off at known rates. For tests and scale runs."""

import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from ded_ray.generate.engine import Request
from ded_ray.recipe import ScriptedEngine
from ded_ray.records import Rollout


class ScriptedModel:
    """An engine whose rollouts depend on nothing but the request's seed."""

    def __init__(self, config: ScriptedEngine) -> None:
        self._config = config

    def generate(self, requests: list[Request]) -> Iterator[tuple[Request, list[Rollout]]]:
        assert requests, "the real engines take a batch's sampling from its first request"
        for request in requests:
            time.sleep(self._config.seconds_per_group)
            if request.problem is not None and request.problem.problem_id == self._config.dies_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if self._config.notes:
                with Path(self._config.notes).open("a") as file:
                    file.write(f"{request.problem.problem_id if request.problem else ''}\n")
            yield request, [self._rollout(request, i) for i in range(request.sampling.num_rollouts)]

    def _rollout(self, request: Request, index: int) -> Rollout:
        assert request.problem is not None
        rng = random.Random(request.seed + index)
        answer = request.problem.answer
        if rng.random() < self._config.error_rate:
            answer = f"{int(answer) + 1}" if answer.lstrip("-").isdecimal() else f"not {answer}"
        cut_off = rng.random() < self._config.cut_off_rate
        words = [rng.choice(("so", "then", "hence", "now")) for _ in range(rng.randint(1, 8))]
        text = " ".join(words) + ("" if cut_off else f" \\boxed{{{answer}}}")
        return Rollout(
            index=index,
            completion=text,
            num_tokens=len(text.split()),
            finish_reason="length" if cut_off else "stop",
            seed=request.seed + index,
        )
