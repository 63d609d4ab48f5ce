"""Ray Data entry point: verdicts, a judge's opinions and rewards as lazy stages beside whatever generates.

    verified = verify(groups, recipe.verify, save_to=folder)
    rewarded = reward(verified, recipe.rewards)

Nothing runs before the rows are asked for.
"""

from pathlib import Path

from ray.data import ActorPoolStrategy, Dataset

from ded_ray.recipe import Rewards, Verify
from ded_ray.records import Group
from ded_ray.runtime.map_groups import BATCHES_IN_FLIGHT, actor_pool, map_groups
from ded_ray.runtime.needs import REWARD, verify_needs
from ded_ray.verify.reward.total import reward_group
from ded_ray.verify.worker import JudgeActor, JudgeWorker, VerifyWorker

GROUPS_PER_JUDGE_BATCH = 16


def verify(groups: Dataset, config: Verify, *, judge: JudgeActor | None = None, save_to: Path | None = None) -> Dataset:
    """Groups with verdicts: the rules' first, then the judge's on what the rules could not check. Lazy.

    With `save_to` every batch of final verdicts is also written there as it passes.
    """
    verified = map_groups(
        groups,
        VerifyWorker,
        (config,),
        save_to=None if judge else save_to,
        batch_size=config.batch_size,
        compute=actor_pool(config.workers),
        **verify_needs(config).resources,
    )
    if judge is None:
        return verified
    return map_groups(
        verified,
        JudgeWorker,
        (judge,),
        save_to=save_to,
        batch_size=GROUPS_PER_JUDGE_BATCH,
        compute=ActorPoolStrategy(size=1, max_tasks_in_flight_per_actor=BATCHES_IN_FLIGHT),
        **judge.resources,
    )


def reward(groups: Dataset, config: Rewards) -> Dataset:
    """Groups with rewards. Lazy."""
    return map_groups(groups, rewarded, (config,), **REWARD.resources)


def rewarded(groups: list[Group], config: Rewards) -> list[Group]:
    return [reward_group(group, config) for group in groups]
