r"""Whether a completion is laid out as it should be: think tags in a pair, one final \boxed{}."""

from ded_ray.models.thinking import final_part, think_is_paired, thought_has_ended
from ded_ray.recipe import FormatReward
from ded_ray.verify.extract import box_starts, last_box


def format_reward(completion: str, config: FormatReward) -> float:
    """1 when every rule that is on is kept, else 0."""
    if config.think != "off" and not think_is_paired(completion):
        return 0.0
    answer = final_part(completion)
    if config.think == "required" and not (thought_has_ended(completion) and answer.strip()):
        return 0.0
    if config.single_box and not (len(box_starts(answer)) == 1 and last_box(answer)):
        return 0.0
    return 1.0
