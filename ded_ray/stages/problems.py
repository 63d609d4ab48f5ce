"""The first step: which problems are asked at all. Also how every other step writes and reads a folder of problems."""

import json
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from ded_ray.curate.contamination import ContaminationHit
from ded_ray.curate.questions import choose_questions
from ded_ray.files.folders import dataset, write_table
from ded_ray.files.parts import read_records, write_atomically
from ded_ray.records import Problem, to_table
from ded_ray.run import Run, Stage
from ded_ray.stages.counts import seal_marked
from ded_ray.stages.inputs import Inputs

CONTAMINATION_FILE = "_contamination.jsonl"


def choose_problems(run: Run, inputs: Inputs) -> Stage:
    """Each prompt once, none that a benchmark will ask, and none to which no answer could be checked."""
    problems, hits = choose_questions(inputs.problems, inputs.benchmarks, run.recipe.curate.questions)
    stage = run.stage("problems", [problems])
    if not stage.done:
        for line in inputs.warnings:
            print(line, file=sys.stderr)
        write_problems(stage, problems, hits)
    return stage


def write_problems(stage: Stage, problems: list[Problem], hits: Iterable[ContaminationHit] = ()) -> None:
    """Write problems as they are, dropped ones included, and seal the stage. `hits` say which benchmark dropped them."""
    folder = stage.begin()
    write_problem_file(folder, problems)
    write_atomically(folder / CONTAMINATION_FILE, "".join(json.dumps(asdict(hit)) + "\n" for hit in hits))
    seal_marked(stage, "problems", len(problems), Counter(problem.dropped_because for problem in problems))


PROBLEMS_FILE = "problems.parquet"
PIECE = 1 << 16


def write_problem_file(folder: Path, problems: list[Problem]) -> None:
    """In the order of their ids, as every folder of problems: batches are then the same in every run."""
    import pyarrow as pa

    ordered = sorted(problems, key=lambda problem: problem.problem_id)
    # Piece by piece: as rows on their way to Arrow millions would take kilobytes each.
    pieces = [to_table(ordered[i : i + PIECE], Problem) for i in range(0, max(1, len(ordered)), PIECE)]
    write_table(pa.concat_tables(pieces), folder / PROBLEMS_FILE)


def kept_problems(stage: Stage) -> list[Problem]:
    """The problems that a stage kept."""
    return [problem for problem in read_records(stage.folder, Problem) if problem.dropped_because is None]


def put_in_order(folder: Path) -> None:
    """Make a folder of problems one file, sorted by how long their answers may be, longest first, then by id.

    The longest first, so that no engine is left alone with them at the end (jobs/bench/tail.py). Ray Data promises no
    order, and batches are to be the same in every run. Runs in a Ray worker, to keep the rows out of the driver's memory.
    """
    import ray

    def rewrite() -> None:
        ordered = folder / PROBLEMS_FILE
        written = [path for path in folder.glob("*.parquet") if path.name != PROBLEMS_FILE]
        if not ordered.exists():  # else a lost machine had come so far
            by_length = [("student_mean_tokens", "descending"), ("problem_id", "ascending")]
            write_table(dataset(folder).to_table().sort_by(by_length), ordered, row_group_size=1 << 16)
        for path in written:
            path.unlink()

    ray.get(ray.remote(rewrite).remote())
