"""What a run of ten million prompts x 8 would take, by constants that are measured here, at smaller sizes, in minutes:
`python -m jobs.bench.ten_million [--prompts 10000000]`.

Measured: what the driver holds of a problem while it reads, chooses and writes problems (each in a process of its own), what
it holds of an id, and how long a part of groups takes to be indexed, on this disk. Assumed, and said in the result: tokens
of an answer, bytes of a token in Parquet, the time of a request to a bucket. The rest is arithmetic.
"""

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ded_ray.records import Group, Problem, Rollout, to_table

PROMPTS, MEASURED = 10_000_000, 50_000
NUM_ROLLOUTS, TOKENS, WORDS = 8, 4_000, 60
REQUEST_SECONDS = 0.03
"""Of a small request to a bucket in the same region. An assumption."""
REQUESTS_PER_PART = 3
"""To index one: its size, the end of the file, the column of ids. Counted in tests/files/test_folders.py."""
NAMES_PER_LISTING = 1_000
KINDS = {"read": None, "chosen, equal ones dropped": None, "chosen, near duplicates dropped": 0.9}
"""Of `driver_of`: what the driver does with problems, and `curate.questions.near_duplicate`."""


def write_problems(file: Path, count: int) -> None:
    """Questions of 60 words, all different, as JSON lines."""
    rng, words = random.Random(0), [f"w{i}" for i in range(5_000)]
    with file.open("w") as lines:
        for number in range(count):
            row = {"prompt": " ".join(rng.choices(words, k=WORDS)), "answer": str(number)}
            lines.write(json.dumps(row) + "\n")


def driver_of(kind: str, count: int) -> dict[str, float]:
    """Bytes at the peak, and seconds, of each of so many problems, in this process; without what libraries take."""
    _read_and_choose(kind, 100)
    before, started = _peak(), time.monotonic()
    _read_and_choose(kind, count)
    seconds = time.monotonic() - started
    return {"bytes": round((_peak() - before) / count), "microseconds": round(seconds / count * 1e6)}


def _read_and_choose(kind: str, count: int) -> None:
    from ded_ray.pipeline import choose_problems
    from ded_ray.recipe import Recipe
    from ded_ray.run import Run
    from ded_ray.stages.inputs import read_sources

    with tempfile.TemporaryDirectory() as name:
        write_problems(Path(name) / "problems.jsonl", count)
        recipe = Recipe.model_validate({
            "name": "n", "problems": {"kind": "file", "path": f"{name}/problems.jsonl"},
            "student": {"model": "tiny/student"}, "teacher": {"model": "t", "engine": {"kind": "scripted"}},
            "curate": {"questions": {"near_duplicate": KINDS[kind]}},
        })  # fmt: skip
        inputs = read_sources(recipe)
        if kind != "read":
            choose_problems(Run.create(Path(name) / "run", recipe), inputs)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def as_process(kind: str, count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "jobs.bench.ten_million", "--one", kind, "--measured", str(count)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def megabytes_of_ids(count: int) -> int:
    """Resident memory that so many saved ids take: half in the driver, as it knows them, half in the watch, as it counts."""
    import numpy as np
    import psutil

    from ded_ray.generate.identity import Ids
    from ded_ray.generate.store import StoredGroups

    before = psutil.Process().memory_info().rss
    saved = StoredGroups(
        np.sort(np.random.default_rng(0).integers(0, 2**63, count // 2, np.uint64)), np.zeros(count // 2, np.int32), []
    )
    finished = Ids()
    for number in range(count // 2):
        finished.add(number)
    after = psutil.Process().memory_info().rss
    del saved, finished
    return round((after - before) / 1e6)


def seconds_to_index_a_part(parts: int = 200) -> float:
    """Of parts on this disk, with short answers: of a long one no more is read."""
    from ded_ray.files.parts import write_part
    from ded_ray.generate.store import GROUPS_PER_PART, compact

    def group(number: int) -> Group:
        problem = Problem(problem_id=f"p{number}", prompt="What is it?", answer="1")
        rollouts = [Rollout(index=0, completion="1", num_tokens=1, finish_reason="stop", seed=0)]
        return Group.of(problem, f"{number:016x}", "scripted", rollouts)

    with tempfile.TemporaryDirectory() as name:
        for part in range(parts):
            first = part * GROUPS_PER_PART
            write_part(Path(name), to_table([group(first + i) for i in range(GROUPS_PER_PART)], Group))
        started = time.monotonic()
        compact(Path(name))
        return (time.monotonic() - started) / parts


def planned(prompts: int, measured: dict[str, Any]) -> dict[str, Any]:
    """The arithmetic."""
    from ded_ray.generate.store import AT_ONCE, GROUPS_PER_PART
    from ded_ray.plan.disk import BYTES_PER_ROLLOUT, BYTES_PER_TOKEN

    parts = prompts / GROUPS_PER_PART
    of_a_group = NUM_ROLLOUTS * (TOKENS * BYTES_PER_TOKEN + BYTES_PER_ROLLOUT)
    return {
        "prompts": prompts,
        "driver_gb": {kind: round(each["bytes"] * prompts / 1e9, 1) for kind, each in measured["driver"].items()},
        "driver_hours": {
            kind: round(each["microseconds"] * prompts / 3.6e9, 2) for kind, each in measured["driver"].items()
        },
        "ids_gb": round(measured["megabytes_of_10M_ids"] / 1e3 * prompts / 1e7, 2),
        "parts": round(parts), "megabytes_of_a_part": round(of_a_group * GROUPS_PER_PART / 1e6, 1),
        "rollouts_tb": round(of_a_group * prompts / 1e12, 2),
        "listings": round(parts / NAMES_PER_LISTING),
        "resume_minutes_on_a_disk": round(parts * measured["seconds_to_index_a_part"] / 60, 1),
        "resume_minutes_in_a_bucket": round(parts * REQUESTS_PER_PART * REQUEST_SECONDS / AT_ONCE / 60, 1),
        "objects_written": round(prompts + parts),
    }  # fmt: skip


def measured_and_planned(prompts: int, problems: int) -> dict[str, Any]:
    """The driver is measured by so many problems."""
    measured: dict[str, Any] = {
        "driver": {kind: as_process(kind, problems) for kind in KINDS},
        "megabytes_of_10M_ids": megabytes_of_ids(10_000_000),
        "seconds_to_index_a_part": round(seconds_to_index_a_part(), 4),
    }
    assumed = {"tokens_of_an_answer": TOKENS, "seconds_of_a_request": REQUEST_SECONDS}
    return {"measured": measured, "assumed": assumed, "planned": planned(prompts, measured)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=PROMPTS)
    parser.add_argument("--measured", type=int, default=MEASURED, help="problems by which the driver is measured")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(driver_of(arguments.one, arguments.measured)))
        return
    print(json.dumps(measured_and_planned(arguments.prompts, arguments.measured)))


if __name__ == "__main__":
    main()
