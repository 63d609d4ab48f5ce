"""The step that keeps a number of examples of each subject."""

from collections import Counter
from collections.abc import Iterable
from itertools import islice

from ded_ray.curate.mix import Kept, mixed
from ded_ray.files.parts import read_records, write_part
from ded_ray.records import Group, to_table
from ded_ray.run import Run, Stage
from ded_ray.stages.counts import count_rollouts, rollouts_of_folder

GROUPS_AT_ONCE = 256


def mix_subjects(run: Run, curated: Stage) -> Stage:
    """Mark what is over the quota of its subject, where the recipe has quotas (`curate.mix`)."""
    recipe = run.recipe
    if not recipe.curate.mix:
        run.forget("mixed")
        return curated
    stage = run.stage("mixed", [recipe.curate.mix, recipe.seed], [curated])
    if stage.done:
        return stage
    kept = [
        Kept(group.subject, group.problem_id, rollout.pick_rank or 0, group.group_id, rollout.index)
        for groups in _batches(curated) for group in groups for rollout in group.rollouts if rollout.dropped_because is None
    ]  # fmt: skip
    staying, folder = mixed(kept, recipe.curate.mix, recipe.seed), stage.begin()
    for groups in _batches(curated):
        for group in groups:
            for rollout in group.rollouts:
                if rollout.dropped_because is None and (group.group_id, rollout.index) not in staying:
                    rollout.dropped_because = "over_quota"
        write_part(folder, to_table(groups, Group))
    _, _, counts = count_rollouts(rollouts_of_folder(folder))
    over_quota = +Counter(over_quota=len(kept) - len(staying))
    effective_examples = counts.get("effective_examples", 0)
    stage.seal("examples", len(kept), over_quota, len(staying), effective_examples=effective_examples)
    return stage


def _batches(curated: Stage) -> Iterable[list[Group]]:
    rows = read_records(curated.folder, Group)
    return iter(lambda: list(islice(rows, GROUPS_AT_ONCE)), [])
