"""Why a score is what it is: what decided it, from the rows that were kept; and where it differs from another run's."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ded_ray.errors import BadInput
from ded_ray.evaluate.intervals import Bootstrap
from ded_ray.evaluate.scores import compare, counts_of
from ded_ray.files.parts import read_records
from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Generator, OpenAIEngine
from ded_ray.records import Group, Rollout
from ded_ray.report.terminal import print_line
from ded_ray.run import Run

FORMS = {
    "in a box": ("\\boxed", "\\fbox"),
    "after ####": ("####",),
    "after 'answer is'": ("answer is", "answer:"),
    "in a block of code": ("```",),
}
"""How an answer is given, by a text that stands before it; the first that is found counts."""

MOST_DIFFERENCES = 20


def evaluated(folder: Path) -> dict[str, dict[str, list[Group]]]:
    """{model: {benchmark: groups}} of a run's folder."""
    return {
        stage.name.removeprefix("evaluate_"): {
            file.stem: list(read_records(file, Group)) for file in sorted(stage.glob("*.parquet"))
        }
        for stage in sorted(folder.glob("evaluate_*"))
    }


def show_why(run: Run, other: Path | None = None) -> None:
    """Print what decided a run's scores, and where they differ from those of another run's folder or rows."""
    for line in [*diagnosis(run), *(differences(run, other) if other else [])]:
        print_line(line)


def diagnosis(run: Run) -> list[str]:
    """Lines on every model that was measured: the prompt as it was shown, how it was sampled, and how its answers ended and
    were given."""
    models, lines = _generators(run), []
    for name, benchmarks in evaluated(run.folder).items():
        first = next((group for groups in benchmarks.values() for group in groups), None)
        if first is not None and name in models:
            lines.append(f"{name}: {_prompt(first.prompt, models[name])}")
        lines += [f"{name}, {benchmark}: {_answers(groups)}" for benchmark, groups in benchmarks.items()]
    sampling = run.recipe.evaluate.sampling
    limits = f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, at most {sampling.max_tokens} tokens"
    return [f"sampling: {limits}, seed {run.recipe.seed}", *lines]


def _generators(run: Run) -> dict[str, Generator]:
    """How each model that may have been measured was asked, by the names of the scores."""
    recipe, model = run.recipe, run.folder / "checkpoint" / "model"
    teachers = recipe.teachers.candidates
    found: dict[str, Generator] = {"base": recipe.student, recipe.name: recipe.student, "teacher": teachers[0]}
    found |= {f"teachers.{i}": teacher for i, teacher in enumerate(teachers)}
    if model.is_dir():
        found["student"] = recipe.student.model_copy(update={"model": str(model)})
    return found


def _prompt(prompt: str, generator: Generator) -> str:
    if isinstance(generator.engine, OpenAIEngine):
        return f"first prompt, sent as one user message to {generator.engine.base_url}: {prompt!r:.400}"
    chat = ChatTokenizer(generator.model, generator.chat)
    ends = chat.tokenizer.convert_ids_to_tokens([chat.end_id])[0]
    template = "the recipe's" if generator.chat.template else "its own"
    shown = f"{chat.render_prompt(prompt)!r:.400}"
    return f"first prompt, {len(chat.prompt_ids(prompt))} tokens, {template} template, an answer ends with {ends}: {shown}"


def _answers(groups: Iterable[Group]) -> str:
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    if not rollouts:
        return "nothing was asked"
    statuses = Counter(rollout.status for rollout in rollouts)
    forms = Counter(_form(rollout) for rollout in rollouts)
    cut = sum(rollout.finish_reason == "length" for rollout in rollouts)
    parts = [f"{count / len(rollouts):.1%} {status}" for status, count in statuses.most_common()]
    given = [f"{count / len(rollouts):.1%} {form}" for form, count in forms.most_common()]
    return f"{', '.join(parts)}; cut off {cut / len(rollouts):.1%}; answers are given {', '.join(given)}"


def _form(rollout: Rollout) -> str:
    text = rollout.completion.casefold()
    return next((form for form, marks in FORMS.items() if any(mark in text for mark in marks)), "otherwise or not at all")


def differences(run: Run, other: Path) -> list[str]:
    """Lines on each benchmark that both have, problem by problem. `other` is a run's folder, or a Parquet file of rows as
    a run keeps them (evaluate_MODEL/BENCHMARK.parquet). Raises BadInput."""
    if not other.exists():
        raise BadInput(f"--compare {other}: there is no such file or folder")
    mine = evaluated(run.folder)
    if other.is_dir():
        theirs = evaluated(other)
        pairs = [(m, b, theirs[m][b]) for m in mine for b in mine[m] if b in theirs.get(m, {})]
    else:
        pairs = [(m, other.stem, list(read_records(other, Group))) for m in mine if other.stem in mine[m]]
    if not pairs:
        raise BadInput(f"--compare {other}: has no model and benchmark in common with {run.folder}")
    bootstrap = Bootstrap(run.recipe.evaluate.bootstrap_resamples, run.recipe.seed)
    return [line for m, b, groups in pairs for line in _compared(f"{m}, {b}", mine[m][b], groups, bootstrap)]


def _compared(title: str, groups: Sequence[Group], others: Sequence[Group], bootstrap: Bootstrap) -> list[str]:
    found = compare(groups, others, bootstrap)
    if found is None:
        return [f"{title}: no problem in common that could be checked"]
    low, high = found["ci95"]
    head = (
        f"{title}: {found['difference']:+.3f} ({low:+.3f} to {high:+.3f}, {found['num_problems']} problems): {found['word']}"
    )
    mine, theirs, by_id = counts_of(groups), counts_of(others), {group.problem_id: group for group in others}
    differing = [
        (mine[g.problem_id][0] / mine[g.problem_id][1] - theirs[g.problem_id][0] / theirs[g.problem_id][1], g)
        for g in groups
        if g.problem_id in mine and g.problem_id in theirs
    ]
    differing = sorted((pair for pair in differing if pair[0]), key=lambda pair: -abs(pair[0]))
    lines = [
        f"  {g.problem_id}: {_told(g, mine)} here, {_told(by_id[g.problem_id], theirs)} there; right is {g.answer!r:.60}"
        for _, g in differing[:MOST_DIFFERENCES]
    ]
    more = [f"  and {len(differing) - MOST_DIFFERENCES} more"] if len(differing) > MOST_DIFFERENCES else []
    return [head, *lines, *more]


def _told(group: Group, counts: dict[str, tuple[int, int]]) -> str:
    correct, samples = counts[group.problem_id]
    found = Counter(r.extracted for r in group.rollouts if r.extracted is not None).most_common(1)
    return f"{correct}/{samples} right" + (f", mostly {found[0][0]!r:.40}" if found else ", no answer found")
