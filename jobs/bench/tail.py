"""How long a pool idles at the end of a corpus, and what helps: `python -m jobs.bench.tail`.

A simulation, with nothing running: engines decode in lock step (a step takes longer the more sequences it has), groups of
eight rollouts have log-normal lengths that differ between prompts and within one, and each group goes to the engine with
the fewest, as Ray Data does. Compared are over-subscription (`in_flight` x max_num_seqs completions per engine) and the
order of the problems: as they come, longest first by a guess that correlates with the truth by 0.5 (what a student's own
lengths tell), and longest first with the truth known. Each number is a makespan over that of full engines to the end.
"""

import argparse
import heapq
import json
from dataclasses import dataclass, field

import numpy as np

ROLLOUTS, WAITING = 8, 2
STEP_SECONDS, SECONDS_PER_SEQUENCE = 1.0, 1 / 64


@dataclass
class Pooled:
    """One engine: its clock in decoded steps, what it decodes (by the step at which it ends), and what it has queued."""

    slots: int
    time: float = 0.0
    step: float = 0.0
    active: list[tuple[float, int]] = field(default_factory=list)
    queued: list[tuple[float, int]] = field(default_factory=list)
    open_groups: dict[int, int] = field(default_factory=dict)

    def fill(self) -> None:
        while self.queued and len(self.active) < self.slots:
            length, group = self.queued.pop(0)
            heapq.heappush(self.active, (self.step + length, group))

    @property
    def next_end(self) -> float:
        """When its next completion ends; infinite when it has nothing to do."""
        return self.time + (self.active[0][0] - self.step) * self._pace if self.active else float("inf")

    @property
    def _pace(self) -> float:
        return STEP_SECONDS + SECONDS_PER_SEQUENCE * len(self.active)

    def advance(self, now: float) -> None:
        """Decode until `now`, which is no later than its next end."""
        self.step += (now - self.time) / self._pace if self.active else 0
        self.time = now

    def end_one(self) -> None:
        _, group = heapq.heappop(self.active)
        self.open_groups[group] -= 1
        if not self.open_groups[group]:
            del self.open_groups[group]
        self.fill()


def makespan(lengths_PN: np.ndarray, num_engines: int, slots: int, in_flight: float) -> float:
    """Seconds until the last of these groups (P x N lengths in tokens, in the order in which they are asked) is complete."""
    room = max(1, round(in_flight * slots / ROLLOUTS)) + WAITING
    engines = [Pooled(slots) for _ in range(num_engines)]
    waiting, now = list(range(len(lengths_PN)))[::-1], 0.0
    while waiting or any(engine.active for engine in engines):
        while waiting and len((least := min(engines, key=lambda each: len(each.open_groups))).open_groups) < room:
            group = waiting.pop()
            least.advance(now)
            least.open_groups[group] = ROLLOUTS
            least.queued += [(float(length), group) for length in lengths_PN[group]]
            least.fill()
        first = min(engines, key=lambda each: each.next_end)
        now = first.next_end
        for engine in engines:
            engine.advance(now)
        first.end_one()
    return now


def lengths(num_problems: int, rng: np.random.Generator) -> np.ndarray:
    """P x N tokens: median 2,000; a prompt's own factor has sigma 0.6 and each rollout's 0.4; cut off at 16k."""
    of_prompt = rng.normal(0, 0.6, (num_problems, 1))
    return np.clip(2000 * np.exp(of_prompt + rng.normal(0, 0.4, (num_problems, ROLLOUTS))), 16, 16_384)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engines", type=int, default=8)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for num_problems in (240, 1000, 4000):
        ratios: dict[str, dict[str, list[float]]] = {}
        for seed in range(arguments.seeds):
            rng = np.random.default_rng(seed)
            lengths_PN = lengths(num_problems, rng)
            truth = np.log(lengths_PN.mean(1))
            guess = (truth - truth.mean()) / truth.std() + np.sqrt(3) * rng.normal(size=num_problems)
            full = STEP_SECONDS + SECONDS_PER_SEQUENCE * arguments.slots
            ideal = lengths_PN.sum() * full / arguments.slots / arguments.engines
            orders = {"as_it_comes": np.arange(num_problems), "guessed": np.argsort(-guess), "known": np.argsort(-truth)}
            for name, order in orders.items():
                for in_flight in (1.0, 1.5, 2.0, 4.0):
                    seconds = makespan(lengths_PN[order], arguments.engines, arguments.slots, in_flight)
                    ratios.setdefault(name, {}).setdefault(str(in_flight), []).append(seconds / ideal)
        found[str(num_problems)] = {
            name: {key: round(float(np.mean(values)), 3) for key, values in by.items()} for name, by in ratios.items()
        }
        for name, by in found[str(num_problems)].items():
            print(f"{num_problems} problems, {name}: {by}", flush=True)
    print(json.dumps({"engines": arguments.engines, "slots": arguments.slots, "makespan_over_ideal": found}))


if __name__ == "__main__":
    main()
