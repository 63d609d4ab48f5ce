"""Verdicts per second and core against Math-Verify's own parse + verify: `python -m jobs.bench.verify FILE.jsonl ...`.

The files have the columns prompt, answer and completion; left out: the real rollouts that lie beside the project on its
developers' machines. Both sides run in one process of their own kind, hard kills on
for ours; then the same rows go through one and through two verifier actors. Every verdict that differs is printed.
"""

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from ded_ray.files.user import read_rows
from ded_ray.recipe import Verify
from ded_ray.records import Group, Problem, Rollout
from ded_ray.verify.extract import extract_answer
from ded_ray.verify.math.verifier import MathVerifier

DATA = Path(__file__).parents[3] / "shared" / "data"
BESIDE = [DATA / "gsm8k_rollouts.jsonl", DATA / "math500_rollouts.jsonl"]

REPEATS = 3
"""Of everything; the best counts, because a noisy machine only ever makes things slower."""

SCALING_COPIES = 20
"""So many copies of the rows go through the actors: starting them must not count."""


def math_verify_verdicts(rows: list[dict[str, Any]]) -> list[bool]:
    from math_verify import parse, verify

    logging.disable(logging.ERROR)
    return [verify(parse(f"${row['answer']}$"), parse(row["completion"])) for row in rows]


def why(row: dict[str, Any], status: str) -> str:
    """What makes our verdict another one than that of Math-Verify's default extraction."""
    found = extract_answer(row["completion"], Verify().answer_forms)
    if status == "no_answer":
        return "no whole box and no ####; Math-Verify takes an expression from the middle of the text"
    if status == "wrong":
        return f"its announced answer is {found}; Math-Verify takes another expression from the text"
    return f"{found} is the reference in other words that Math-Verify does not read"


def our_verdicts(rows: list[dict[str, Any]]) -> list[str]:
    verifier = MathVerifier(Verify())
    try:
        return [verifier.verify(row["completion"], row["answer"], []).status for row in rows]
    finally:
        verifier.close()


def best_of(work: Any, *arguments: Any) -> tuple[Any, float]:
    best = float("inf")
    for _ in range(REPEATS):
        started = time.perf_counter()
        result = work(*arguments)
        best = min(best, time.perf_counter() - started)
    return result, best


def groups_of(rows: list[dict[str, Any]]) -> list[Group]:
    return [
        Group.of(
            Problem(problem_id=str(i), prompt=row["prompt"], answer=row["answer"]),
            str(i),
            "m",
            [Rollout(index=0, completion=row["completion"], num_tokens=0, finish_reason="stop", seed=0)],
        )
        for i, row in enumerate(rows)
    ]


def seconds_with(num_actors: int, groups: list[Group]) -> float:
    """Of verdicts alone: from the moment that every actor has given its first."""
    import ray

    from ded_ray.verify.worker import VerifyWorker

    # In the object store, as the blocks of a plan are.
    batches = [ray.put(groups[i : i + 64]) for i in range(0, len(groups), 64)]
    actors = [ray.remote(num_cpus=1)(VerifyWorker).remote(Verify()) for _ in range(num_actors)]
    warm = groups_of([{"prompt": "", "answer": "1+x", "completion": "\\boxed{x+1}"}])
    ray.get([actor.__call__.remote(warm) for actor in actors])
    started = time.perf_counter()
    verified = [actors[i % num_actors].__call__.remote(batch) for i, batch in enumerate(batches)]
    ray.wait(verified, num_returns=len(verified), fetch_local=False)
    seconds = time.perf_counter() - started
    for actor in actors:
        ray.kill(actor)
    return seconds


def main() -> None:
    paths = [Path(path) for path in sys.argv[1:]] or [path for path in BESIDE if path.exists()]
    rows = [row for path in paths for _, row in read_rows(path)]
    if not rows:
        sys.exit("name one or more .jsonl or .parquet files with the columns prompt, answer and completion")
    theirs, their_seconds = best_of(math_verify_verdicts, rows)
    ours, our_seconds = best_of(our_verdicts, rows)
    differences = [(row, a, b) for row, a, b in zip(rows, ours, theirs, strict=True) if (a == "correct") != b]
    for row, status, correct in differences:
        tail = row["completion"][-120:].replace("\n", " ")
        print(json.dumps({"answer": row["answer"], "ours": status, "math_verify": correct,
                          "why": why(row, status), "completion_ends": tail}))  # fmt: skip
    from ded_ray.runtime.connect import start_ray

    start_ray()
    groups = groups_of(rows * SCALING_COPIES)
    one, two = (min(seconds_with(n, groups) for _ in range(REPEATS)) for n in (1, 2))
    result = {
        "speed_ratio": round(their_seconds / our_seconds, 2),
        "scaling_1_to_2": round(one / two, 2),
        "num_rows": len(rows),
        "num_differences": len(differences),
        "our_verdicts_per_second": round(len(rows) / our_seconds),
        "math_verify_verdicts_per_second": round(len(rows) / their_seconds),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
