"""Quality and correctness (DED, Method): why a completion is not to be trained on. A rule per file in `rules/`."""

from ded_ray.curate.rules import correctness, language, length, loops, think
from ded_ray.curate.rules.answer import Answer
from ded_ray.recipe import Quality
from ded_ray.records import Rollout

RULES = (think, length, loops, language)


def reason_to_drop(rollout: Rollout, num_tokens: int, question: str, config: Quality) -> str | None:
    """The verdict's own name first (`empty_completion` where there is nothing to check), then the first rule that drops it;
    None if it may be trained on.

    `num_tokens` is its length in the student's tokens.
    """
    wrong = correctness.reason_to_drop(rollout.status, config)
    if wrong in {None, "no_answer"} and not rollout.completion.strip():
        return "empty_completion"
    if wrong:
        return wrong
    answer = Answer(rollout.completion, num_tokens, question)
    return next((rule.NAME for rule in RULES if rule.drops(answer, config)), None)
