"""Curation at size: `python -m jobs.bench.curate`.

Farthest-P over eight traces of 16k tokens per prompt, against RapidFuzz on all pairs (same picks); 100,000 prompts x 8 short
rollouts through the whole curation, from files to files, with an object store that is smaller than they are; and the
student's reading (RSR), in tokens per second.
"""

import argparse
import json
import random
import re
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from ded_ray.recipe import Curate, Diversity, Questions, Student
from ded_ray.records import Group, Problem, Rollout, schema_of, to_table

TRACES, VOCABULARY = 8, 150_000

STORE_MB = 80
"""Ray's object store: about as small as it can be."""


def traces(num_tokens: int, share: float, rng: random.Random) -> list[list[int]]:
    """Eight texts made of stretches of a common one, as answers to one question are, and of `share` tokens of their own."""
    common = [min(VOCABULARY, int(rng.paretovariate(0.6))) for _ in range(num_tokens)]
    texts = []
    for _ in range(TRACES):
        text: list[int] = []
        length = rng.randint(num_tokens * 3 // 4, num_tokens)
        while len(text) < length:
            if rng.random() < share:
                text += [rng.randint(0, VOCABULARY) for _ in range(rng.randint(5, 40))]
            else:
                start = rng.randrange(len(common))
                text += common[start : start + rng.randint(5, 60)]
        texts.append(text[:length])
    return texts


def by_all_pairs(texts: list[list[int]], num_kept: int) -> list[int]:
    """Farthest-P from the full matrix of distances."""
    from rapidfuzz.distance import Levenshtein

    count = len(texts)
    distance = [[0] * count for _ in range(count)]
    for i in range(count):
        for j in range(i):
            distance[i][j] = distance[j][i] = Levenshtein.distance(texts[i], texts[j])
    picks = [min(range(count), key=lambda i: (len(texts[i]), i))]
    while len(picks) < num_kept:
        rest = [i for i in range(count) if i not in picks]
        picks.append(max(rest, key=lambda i: (min(distance[i][p] for p in picks), -i)))
    return picks


def diversity(num_prompts: int, num_tokens: int) -> dict[str, float]:
    from ded_ray.curate.diversity import farthest

    rng, ours, theirs = random.Random(0), 0.0, 0.0
    for number in range(num_prompts):
        texts = traces(num_tokens, (0.2, 0.5, 0.8)[number % 3], rng)
        started = time.perf_counter()
        picks = farthest(texts, 4)
        middle = time.perf_counter()
        if picks != by_all_pairs(texts, 4):
            raise RuntimeError("other picks")
        ours, theirs = ours + middle - started, theirs + time.perf_counter() - middle
    return {"farthest_ratio": round(theirs / ours, 2), "seconds_per_prompt": round(ours / num_prompts, 3)}


def whole(num_prompts: int) -> dict[str, float]:
    """Duplicates and contamination of the questions; then quality, weights and diversity of their groups, through Ray."""
    import pyarrow.dataset as pads
    import pyarrow.parquet as pq
    import ray

    from ded_ray.curate.questions import choose_questions
    from ded_ray.curate.ray_data import curate
    from ded_ray.runtime.connect import quieten
    from ded_ray.runtime.memory import peak_memory
    from ded_ray.tiny.styles import careful

    rng = random.Random(0)
    problems = [
        Problem(
            problem_id=f"p{i}", answer="1",
            prompt=f"Box {i} has {' and '.join(f'{rng.randint(1, 999)} marbles of kind {c}' for c in range(8))}. How many?",
        )
        for i in range(num_prompts)
    ]  # fmt: skip
    started = time.perf_counter()
    choose_questions(problems, {"held_out": problems[:500]}, Questions())
    questions_s = time.perf_counter() - started
    ray.init("local", num_cpus=8, object_store_memory=STORE_MB << 20, include_dashboard=False, log_to_driver=False)
    quieten()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "groups").mkdir()
        for start in range(0, num_prompts, 10_000):
            rows = [group(problem, careful, rng) for problem in problems[start : start + 10_000]]
            pq.write_table(to_table(rows, Group), folder / "groups" / f"{start:09}.parquet", row_group_size=1000)
        problems.clear()
        before, started = peak_mb(), time.perf_counter()
        with peak_memory() as memory:
            curated = curate(ray.data.read_parquet(str(folder / "groups")), Curate(), Student(model="tiny/student"), 0)
            curated.write_parquet(str(folder / "curated"))
        seconds = time.perf_counter() - started
        size = sum(batch.nbytes for batch in pads.dataset(folder / "groups", format="parquet").to_batches())
        found = pads.dataset(folder / "curated", schema=schema_of(Group), format="parquet").count_rows()
        if found != num_prompts:
            raise RuntimeError(f"{found} groups")
    return {
        "questions_per_s": round(num_prompts / questions_s),
        "rollouts_per_s": round(num_prompts * TRACES / seconds),
        "driver_mb_before": before,  # with what made the prompts and answers
        "driver_peak_mb": peak_mb(),
        "all_peak_mb": round(memory.peak_bytes / 1e6),
        "data_mb": round(size / 1e6),
        "store_mb": STORE_MB,
        "spilled_mb": spilled_mb(),
    }


def spilled_mb() -> float:
    """What Ray has moved from its object store to disk so far."""
    from ray._private.internal_api import memory_summary

    found = re.search(r"Spilled (\d+) MiB", memory_summary(stats_only=True))
    return int(found[1]) if found else 0


def peak_mb() -> int:
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def group(problem: Problem, style: Any, rng: random.Random) -> Group:
    rollouts = [
        Rollout(
            index=i, completion=style(f"x: {''.join(f'{rng.randint(1, 9)}+' for _ in range(8))}1", 0.1, rng),
            num_tokens=60, finish_reason="stop", seed=i, status="correct" if rng.random() < 0.6 else "wrong", reward=0.0,
        )
        for i in range(TRACES)
    ]  # fmt: skip
    for rollout in rollouts:
        rollout.reward = float(rollout.status == "correct")
    return Group.of(problem, f"{int(problem.problem_id[1:]):016x}", "m", rollouts)


def reading(num_answers: int) -> dict[str, float]:
    from ded_ray.models.surprisal import Reader
    from ded_ray.tiny.problems import make_problems
    from ded_ray.tiny.styles import rambling

    rng = random.Random(0)
    problems = make_problems("chain", num_answers, (3, 10), 0)
    asked = [(problem.prompt, rambling(problem.prompt, 0.0, rng)) for problem in problems]
    reader = Reader("tiny/student", num_threads=2)
    started = time.perf_counter()
    num_tokens = sum(each.num_tokens for each in reader.surprises(asked))
    return {"rsr_tokens_per_s": round(num_tokens / (time.perf_counter() - started))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--traces-prompts", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=16_000)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--answers", type=int, default=2000)
    arguments = parser.parse_args()
    result: dict[str, Any] = {"num_kept": Diversity().num_kept, "tokens": arguments.tokens, "prompts": arguments.prompts}
    for found in (
        diversity(arguments.traces_prompts, arguments.tokens), reading(arguments.answers), whole(arguments.prompts)
    ):  # fmt: skip
        print(json.dumps(found), flush=True)
        result |= found
    print(json.dumps(result))


if __name__ == "__main__":
    main()
