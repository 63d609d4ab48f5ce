"""`ded-ray export`: what a run trains on, as JSON lines for other trainers, with a data card beside it."""

import json
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args

from ded_ray.errors import BadInput, NoExamples
from ded_ray.files.parts import read_records, write_atomically
from ded_ray.recipe import FileProblems
from ded_ray.records import Example, Group, examples_of
from ded_ray.run import Run

Format = Literal["messages", "sharegpt", "openai"]


def export_corpus(run: Run, out: Path, form: str) -> Counter[str]:
    """Write one line per example to `out` and the card to the same name with .md; returns examples by teacher.

    Raises BadInput for a run that has curated nothing yet, NoExamples when nothing was kept.
    """
    if form not in get_args(Format):
        raise BadInput(f"--format {form}: write one of {', '.join(get_args(Format))}")
    if out.suffix != ".jsonl" or not out.parent.is_dir():
        raise BadInput(f"{out}: --out must name a .jsonl file in a folder that is there")
    folder = run.finished_stage(run.curated).folder
    layout: Callable[[str, str, dict[str, Any]], dict[str, Any]] = LAYOUTS[form]
    teachers, subjects, weights = Counter[str](), Counter[str](), list[float]()
    temporary = out.with_name(f".{out.name}.{uuid.uuid4().hex}")
    try:
        with temporary.open("w", encoding="utf-8") as file:
            for group in read_records(folder, Group):
                for example in examples_of(group):
                    row = layout(example.prompt, example.completion, provenance(group, example))
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    weights.append(example.weight)
                    teachers[group.model] += 1
                    subjects[group.subject or group.source] += 1
        if not weights:
            raise NoExamples(f"{run.folder}: nothing was kept to train on; the ledger says why")
        write_atomically(out.with_suffix(".md"), card(run, form, teachers=teachers, subjects=subjects, weights=weights))
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return teachers


def provenance(group: Group, example: Example) -> dict[str, Any]:
    """What stands beside the conversation in every line."""
    rollout = next(rollout for rollout in group.rollouts if rollout.index == example.index)
    choices = {"choices": group.choices} if group.choices else {}
    return choices | {
        "weight": example.weight, "reward": example.reward, "advantage": example.advantage, "answer": group.answer,
        "problem_id": group.problem_id, "group_id": group.group_id, "index": example.index, "teacher": group.model,
        "seed": rollout.seed, "source": group.source, "subject": group.subject, "verifier": group.verifier,
    }  # fmt: skip


def _messages(prompt: str, completion: str, more: dict[str, Any]) -> dict[str, Any]:
    turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
    return {"messages": turns, **more}


def _sharegpt(prompt: str, completion: str, more: dict[str, Any]) -> dict[str, Any]:
    return {"conversations": [{"from": "human", "value": prompt}, {"from": "gpt", "value": completion}], **more}


def _openai(prompt: str, completion: str, more: dict[str, Any]) -> dict[str, Any]:
    """Nothing but messages and metadata: endpoints refuse lines with other keys."""
    return {"messages": _messages(prompt, completion, {})["messages"], "metadata": more}


LAYOUTS = {"messages": _messages, "sharegpt": _sharegpt, "openai": _openai}

CARD = """\
# {name}

{num_examples} examples, one per line, of `{folder}`; layout `{form}`.

| | |
|---|---|
| teachers (examples) | {teachers} |
| subjects or sources (examples) | {subjects} |
| files of problems | {files} |
| student that the corpus was made for | {student} |
| seed of the recipe | {seed} |
| weights | {smallest:.4g} to {largest:.4g}, mean {mean:.4g}, of `curate.weights.map: {map}` |

`weight` is the factor of an example's loss, made of its reward's advantage within all answers to the same question. A
trainer that leaves it out trains on another objective{negative}. `reward` and `advantage` are what it was made of, `answer`
the reference, `teacher` and `seed` what generated the completion, `group_id/index` its name for `ded-ray explain`.
The system message of the student, if its recipe has one, is no part of the lines.

Read again: `ded-ray grade FILE --columns {columns}`; or a teacher with
`engine: {{kind: replay, path: FILE, problem_id_column: {prefix}problem_id, completion_column: {conversation}}}`.
"""


def card(run: Run, form: str, *, teachers: Counter[str], subjects: Counter[str], weights: list[float]) -> str:
    """The data card, in Markdown."""
    recipe, prefix = run.recipe, "metadata." if form == "openai" else ""
    conversation = "conversations" if form == "sharegpt" else "messages"
    files = [source.path for source in recipe.problems if isinstance(source, FileProblems)]
    signed = ": below 0 it pushes away from wrong answers, and would then train towards them" if min(weights) < 0 else ""
    return CARD.format(
        name=recipe.name, num_examples=len(weights), folder=run.curated, form=form, teachers=_counted(teachers),
        subjects=_counted(subjects), files=", ".join(files) or "none", student=recipe.student.model, seed=recipe.seed,
        smallest=min(weights), largest=max(weights), mean=sum(weights) / len(weights), map=recipe.curate.weights.map,
        negative=signed, columns=f"prompt={conversation},completion={conversation},answer={prefix}answer",
        prefix=prefix, conversation=conversation,
    )  # fmt: skip


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())
