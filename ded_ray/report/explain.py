"""`ded-ray explain`: one rollout's whole life, from its question to its weight or to why it was dropped; or a problem's."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.dataset as pads

from ded_ray.errors import BadInput
from ded_ray.files.folders import dataset
from ded_ray.files.lines import read_lines
from ded_ray.records import Group, Problem, R, Rollout, schema_of
from ded_ray.run import Run

REASONS = {
    "unverifiable_reference": "nothing here can read its reference",
    "in_benchmark": "a benchmark of the recipe asks the same",
    "near_benchmark": "it shares a run of words with a benchmark's question",
    "missing_answer": "there is no answer to compare with",
    "duplicate_prompt": "the same was asked before",
    "near_duplicate": "nearly the same was asked before",
    "student_pass_rate": "the student answers it often enough already",
    "student_pass_rate_too_low": "the student answers it too seldom",
    "wrong": "its answer is not the reference",
    "no_answer": "it announces no answer",
    "empty_completion": "there is nothing in it",
    "truncated": "it was cut off at the token limit",
    "timed_out": "its answer could not be checked in time",
    "crashed": "checking its answer failed",
    "unverifiable": "nothing could check its answer",
    "think_unpaired": "its think tags are not one pair",
    "over_max_tokens": "it is longer than curate.quality.max_tokens",
    "over_train_max_length": "with its prompt it is longer than train.max_length",
    "too_long": "it is longer than the recipe allows",  # either of the two, in runs of an earlier version
    "loops": "it repeats itself",
    "foreign_language": "it is in a script that its question does not use",
    "no_weight": "its loss weight is 0",
    "not_picked": "others of its group were picked",
    "over_quota": "its subject has its number of examples",
}
"""Why something was dropped, for a person."""

TEACHER_STAGES = ("curated", "teacher_verdicts", "teacher_rollouts")
STUDENT_STAGES = ("student_verdicts", "student_rollouts")
"""Where groups are, what came last first."""


@dataclass(frozen=True)
class RolloutHistory:
    group: Group
    rollout: Rollout
    student: Group | None  # what the student answered to the same question
    question: Problem | None  # as the student's answers left it, with a reason if no teacher was asked
    distances: dict[int, int]  # to the kept others of its group, by their index, in the student's tokens


def explain(run: Run, name: str) -> list[tuple[str, str]]:
    """(heading, what there is to say) of the rollout GROUP_ID/INDEX, or of all that became of the problem of this id.

    Raises BadInput when the run has neither.
    """
    group_id, _, index = name.rpartition("/")
    if index.isdecimal() and any(True for _ in _groups(run, "group_id", group_id)):
        return describe(history_of(run, name))
    if lines := describe_problem(run, name) or (index.isdecimal() and describe_problem(run, group_id)):
        return lines
    raise BadInput(f"{name}: {run.folder} has no such rollout (GROUP_ID/INDEX) and no problem of this id; "
                   "`ded-ray show RUN --samples 3` and the report name some")  # fmt: skip


def _groups(run: Run, column: str, value: str) -> Iterator[Group]:
    """A run's groups with this value in a column, each as its last stage has it; the teachers' before the student's."""
    seen = set[str]()
    for stage in (run.curated, *TEACHER_STAGES, *STUDENT_STAGES):
        for group in find(run.folder / stage, Group, column, value):
            if group.group_id not in seen:
                seen.add(group.group_id)
                yield group


def describe_problem(run: Run, problem_id: str) -> list[tuple[str, str]]:
    """(heading, what there is to say) of a problem: why it was dropped, or its groups, a line per rollout; [] if unknown."""
    asked = [next(find(run.folder / stage, Problem, "problem_id", problem_id), None) for stage in ("problems", "questions")]
    groups = list(_groups(run, "problem_id", problem_id))
    known = next((found for found in (*asked, *groups) if found is not None), None)
    if known is None:
        return []
    lines = [("question", f"{known.problem_id} of {known.source or 'a file'}: {known.prompt}"),
             ("reference", f"{known.answer} ({known.verifier})")]  # fmt: skip
    for problem in asked:
        if problem is not None and problem.dropped_because:
            why = problem.dropped_because
            lines.append(("dropped", f"{why}: {REASONS.get(why, why)}{_benchmark_of(run, problem_id)}"))
    lines += [(f"group {group.group_id}", _fates(group)) for group in groups]
    quarantine = run.folder / "quarantine.jsonl"
    refused = read_lines(quarantine) if quarantine.exists() else []
    lines += [("in quarantine", line["reason"]) for line in refused if line.get("problem_id") == problem_id]
    if len(lines) == 2:
        lines.append(("so far", "nobody was asked"))
    return lines


def _benchmark_of(run: Run, problem_id: str) -> str:
    """Which benchmark asks the same, and in which words; nothing for a problem that none does."""
    path = run.folder / "problems" / "_contamination.jsonl"
    for hit in read_lines(path) if path.exists() else []:
        if hit["problem_id"] == problem_id:
            return f" ({hit['benchmark']}, {hit['benchmark_problem_id']}: {hit['match']})"
    return ""


def _fates(group: Group) -> str:
    """Who answered, and of each rollout its id and what became of it."""
    lines = [f"by {group.model}"]
    for rollout in group.rollouts:
        fate = f"dropped: {rollout.dropped_because}" if rollout.dropped_because else ""
        if not fate and rollout.weight is not None:
            fate = f"weight {_number(rollout.weight)}"
        parts = (rollout.status or "no verdict yet", rollout.extracted and f"found {rollout.extracted!r:.60}", fate)
        lines.append(f"{group.group_id}/{rollout.index}  {', '.join(part for part in parts if part)}")
    return "\n".join(lines)


def history_of(run: Run, name: str) -> RolloutHistory:
    """The rollout `GROUP_ID/INDEX` of a run, as far as it got. Raises BadInput when there is none."""
    group_id, separator, index = name.partition("/")
    if not separator or not index.isdecimal():
        raise BadInput(
            f"{name}: a rollout is named GROUP_ID/INDEX, as `ded-ray show RUN --samples 3` and the report have it"
        )
    for stage in (run.curated, *TEACHER_STAGES, *STUDENT_STAGES):
        for group in find(run.folder / stage, Group, "group_id", group_id):
            rollout = next((each for each in group.rollouts if each.index == int(index)), None)
            if rollout is None:
                raise BadInput(f"{name}: group {group_id} has rollouts 0 to {len(group.rollouts) - 1}")
            student = next(find(run.folder / "student_verdicts", Group, "problem_id", group.problem_id), None)
            asked = next(find(run.folder / "questions", Problem, "problem_id", group.problem_id), None)
            return RolloutHistory(group, rollout, student, asked, _distances(run, group, rollout))
    raise BadInput(f"{name}: {run.folder} has no group {group_id}; `ded-ray show RUN --samples 3` shows some")


def find(folder: Path, record: type[R], column: str, value: str) -> Iterator[R]:
    """The groups, or problems, of a stage with this value in a column; none where the stage has not been made."""
    if any(folder.glob("*.parquet")):
        for row in dataset(folder, schema_of(record)).to_table(filter=pads.field(column) == value).to_pylist():
            yield record.from_row(row)


def _distances(run: Run, group: Group, rollout: Rollout) -> dict[int, int]:
    from rapidfuzz.distance import Levenshtein

    from ded_ray.models.chat import ChatTokenizer

    encode = ChatTokenizer(run.recipe.student.model).encode
    own = encode(rollout.completion)
    return {
        other.index: Levenshtein.distance(own, encode(other.completion))
        for other in group.rollouts
        if other.pick_rank is not None and other is not rollout
    }


def describe(history: RolloutHistory) -> list[tuple[str, str]]:
    """(heading, what there is to say) in the order in which it happened; what has not happened is left out."""
    group, rollout, lines = history.group, history.rollout, list[tuple[str, str]]()
    lines.append(("question", f"{group.problem_id} of {group.source or 'a file'}: {group.prompt}"))
    lines.append(("reference", f"{group.answer} ({group.verifier})"))
    if history.student is not None:
        right = sum(answer.status == "correct" for answer in history.student.checked)
        lines.append(("student", f"{right} of {len(history.student.checked)} checked answers right, pass rate "
                      f"{_number(history.student.pass_rate)}"))  # fmt: skip
    if history.question is not None and history.question.dropped_because:
        why = history.question.dropped_because
        lines.append(("question dropped", f"{why}: {REASONS[why]}; no teacher was asked"))
    said = f"{group.model}, rollout {rollout.index} of {len(group.rollouts)}, seed {rollout.seed}"
    logprob = f", {_number(rollout.mean_logprob)} nats per token" if rollout.mean_logprob is not None else ""
    lines.append(("generated by", f"{said}: {rollout.num_tokens} tokens{logprob}, ended by {rollout.finish_reason}"))
    lines.append(("completion", rollout.completion))
    if rollout.status:
        found = f"found {rollout.extracted!r}" if rollout.extracted else "found no answer"
        judge = f", rules said {rollout.rule_status}, judge {rollout.judge_status}" if rollout.judge_status else ""
        walls = f", behind {rollout.isolation}" if rollout.isolation else ""
        lines.append(("verdict", f"{rollout.status}: {found} in {rollout.seconds or 0:.4f} s{walls}{judge}"))
    if rollout.reward is not None:
        others = sorted((each.reward for each in group.rollouts if each.reward is not None), reverse=True)
        lines.append(("reward", f"{_number(rollout.reward)}; its group's: {', '.join(map(_number, others))}"))
    if rollout.advantage is not None:
        place = 1 + sum((each.advantage or 0) > rollout.advantage for each in group.checked)
        lines.append(("advantage", f"{_number(rollout.advantage)}, place {place} of {len(group.checked)}"))
    if rollout.surprisal is not None:
        lines.append(
            ("surprisal", f"{_number(rollout.surprisal)} nats per token under the student, RSR {_number(rollout.rsr)}")
        )
    if history.distances:
        nearest = min(history.distances, key=lambda i: history.distances[i])
        each = ", ".join(f"{distance} to {index}" for index, distance in sorted(history.distances.items()))
        lines.append(("distances", f"in tokens, to what was picked: {each}; nearest {nearest}"))
    if rollout.pick_rank is not None:
        lines.append(("picked", f"as number {rollout.pick_rank + 1} of its group"))
    if rollout.dropped_because:
        lines.append(("dropped", f"{rollout.dropped_because}: {REASONS[rollout.dropped_because]}"))
    elif rollout.weight is not None:
        lines.append(("weight", f"{_number(rollout.weight)} of its loss"))
    return lines


def _number(value: Any) -> str:
    return "unknown" if value is None else f"{value:.4g}"
