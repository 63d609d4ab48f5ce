import pytest

from ded_ray.recipe import Verify
from ded_ray.records import Group, Problem, Rollout
from ded_ray.verify.worker import VerifyWorker


def status(completion, reason="stop", **config):
    rollout = Rollout(index=0, completion=completion, num_tokens=1, finish_reason=reason, seed=0)
    worker = VerifyWorker(Verify(**config))
    [verified] = worker.verify_group(Group.of(Problem(problem_id="p", prompt="?", answer="5"), "g", "m", [rollout])).rollouts
    worker.close()
    return verified.status


@pytest.mark.parametrize(("reason", "verdict"), [("stop", "correct"), ("length", "truncated"), ("other", "unverifiable")])
def test_only_what_the_model_ended_is_looked_at(reason, verdict):
    assert status("\\boxed{5}", reason) == verdict


@pytest.mark.parametrize(
    "thought",
    ["<think>{}", "<thinking>{}", "<reasoning>{}", "<|channel|>analysis<|message|>{}", "<|begin_of_thought|>{}", "[THINK]{}",
     "\u25c1think\u25b7{}"],
)  # fmt: skip
def test_nothing_is_announced_inside_an_unfinished_thought(thought):
    assert status(thought.format("maybe \\boxed{5} but")) == "no_answer"


def test_required_thinking_takes_the_end_of_any_known_thought():
    assert status("a</think>\\boxed{5}", thinking="required") == "correct"
    assert status("a[/THINK]\\boxed{5}", thinking="required") == "correct"
    assert status("\\boxed{5}", thinking="required") == "no_answer"
    assert status("a</scratch>\\boxed{5}", thinking="required") == "no_answer"


def test_tags_of_ones_own_are_a_knob():
    tags = {"think_tags": [("<scratch>", "</scratch>")]}
    assert status("<scratch>\\boxed{5}") == "correct"
    assert status("<scratch>\\boxed{5}", **tags) == "no_answer"
    assert status("<scratch>\\boxed{4}</scratch>\\boxed{5}", **tags) == "correct"
    assert status("a</scratch>\\boxed{5}", thinking="required", **tags) == "correct"
    with pytest.raises(ValueError, match="cannot both open and close"):
        Verify(think_tags=[("***", "***")])


def test_a_knob_of_a_later_version_at_its_default_makes_nothing_again():
    assert "think_tags" not in Verify().identity()
    assert "think_tags" in Verify(think_tags=[("<a>", "</a>")]).identity()
