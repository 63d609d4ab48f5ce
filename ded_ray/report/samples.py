"""`ded-ray show --samples`: right and wrong answers to one question side by side, what is trained on in colour."""

from collections.abc import Iterable
from itertools import zip_longest

from rich.table import Table
from rich.text import Text

from ded_ray.files.parts import read_records
from ded_ray.models.chat import ChatTokenizer
from ded_ray.records import Group, Rollout
from ded_ray.report.terminal import console
from ded_ray.run import Run

TRAINED, NOT_TRAINED, MARKS = "green", "default", "dim"


def show_samples(run: Run, count: int) -> None:
    """Show `count` groups, those with both right and wrong answers first. Raises BadInput if none was curated yet."""
    folder = run.finished_stage(run.curated).folder
    chat = ChatTokenizer(run.recipe.student.model, run.recipe.student.chat)
    for group in mixed_first(read_records(folder, Group), count):
        console.print(side_by_side(group, chat.render_prompt(group.prompt), chat.tokenizer.eos_token))
    console.print(
        Text.assemble(("trained on", TRAINED), "; ", ("context", MARKS), "; not trained on; ded-ray explain RUN ID")
    )


def mixed_first(groups: Iterable[Group], count: int) -> list[Group]:
    """The first `count` groups, those with both right and wrong answers before the others, each kind in the order of ids; in
    bounded memory."""
    found: list[Group] = []
    for group in groups:
        found.append(group)
        if len(found) >= 2 * count:
            found = sorted(found, key=_order)[:count]
    return sorted(found, key=_order)[:count]


def _order(group: Group) -> tuple[bool, str, str]:
    return len({rollout.status for rollout in group.rollouts}) < 2, group.problem_id, group.group_id


def side_by_side(group: Group, prompt: str, end: str) -> Table:
    """Right answers in the left column, all others in the right one; the heaviest first."""
    right = [rollout for rollout in group.rollouts if rollout.status == "correct"]
    others = [rollout for rollout in group.rollouts if rollout.status != "correct"]
    title = Text(f"{group.problem_id}, reference {group.answer}, by {group.model}")  # of others' texts none is markup
    table = Table(title=title, expand=True, show_lines=True)
    table.add_column("right", ratio=1)
    table.add_column("not right", ratio=1)
    for pair in zip_longest(sorted(right, key=_heaviest), sorted(others, key=_heaviest)):
        table.add_row(*[Text("") if rollout is None else cell(group, rollout, prompt, end) for rollout in pair])
    return table


def _heaviest(rollout: Rollout) -> tuple[bool, float, int]:
    return rollout.dropped_because is not None, -(rollout.weight or 0.0), rollout.index


def cell(group: Group, rollout: Rollout, prompt: str, end: str) -> Text:
    """One rollout: its id, its fate, and its text as the student sees it: the prompt is context, the rest is trained on."""
    fate = f"dropped: {rollout.dropped_because}" if rollout.dropped_because else f"weight {rollout.weight or 0:.2f}"
    advantage = "" if rollout.advantage is None else f", advantage {rollout.advantage:+.2f}"
    colour = NOT_TRAINED if rollout.dropped_because else TRAINED
    return Text.assemble(
        (f"{group.group_id}/{rollout.index}  {rollout.status}{advantage}, {fate}\n", MARKS),
        (prompt, MARKS),
        (rollout.completion + (end if rollout.finish_reason == "stop" else ""), colour),
    )
