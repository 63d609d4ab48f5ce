import pytest

from ded_ray.curate import compress as difficulty
from ded_ray.curate.compress import compress
from ded_ray.curate.group import curate_group
from ded_ray.curate.quality import RULES, reason_to_drop
from ded_ray.curate.rules import correctness
from ded_ray.curate.rules.answer import Answer
from ded_ray.recipe import Compress, Curate, Diversity, Quality, Weights
from ded_ray.records import Group, Problem, Rollout, examples_of


def group(statuses: str, completions: list[str] | None = None) -> Group:
    """One rollout per letter: c correct, w wrong, n no answer, t truncated, ? timed out."""
    names = {"c": "correct", "w": "wrong", "n": "no_answer", "t": "truncated", "?": "timed_out"}
    rollouts = [
        Rollout(
            index=i,
            completion=completions[i] if completions else f"{'x' * i} \\boxed{{1}}",
            num_tokens=1,
            finish_reason="length" if letter == "t" else "stop",
            seed=i,
            status=names[letter],
            reward=None if letter == "?" else float(letter == "c"),
        )
        for i, letter in enumerate(statuses)
    ]
    return Group.of(Problem(problem_id="p", prompt="?", answer="1"), "g", "m", rollouts)


def encode(text: str) -> list[int]:
    return [ord(c) for c in text]


def dropped(g: Group) -> list[str | None]:
    return [r.dropped_because for r in g.rollouts]


def test_could_not_check_is_no_failure():
    assert group("cw??").pass_rate == 0.5
    assert group("??").pass_rate is None
    assert group("cwnt").pass_rate == 0.25


@pytest.mark.parametrize(("statuses", "reason"), [("cccw", None), ("cccc", "student_pass_rate"), ("????", None)])
def test_what_the_student_knows_is_dropped(statuses, reason):
    problem = compress(group(statuses), Compress())
    assert problem.dropped_because == reason
    assert problem.prompt == "?"
    assert problem.student_mean_tokens == 1


@pytest.mark.parametrize(("rule", "case"), [(rule, case) for rule in RULES for case in rule.CASES])
def test_the_cases_that_a_rule_shows(rule, case):
    (completion, num_tokens, question, config), dropped = case
    assert rule.drops(Answer(completion, num_tokens, question), Quality(**config)) is dropped


@pytest.mark.parametrize(("case", "reason"), difficulty.CASES)
def test_which_questions_are_too_easy_or_too_hard(case, reason):
    rate, config = case
    assert difficulty.reason_to_drop(rate, Compress(**config)) == reason


@pytest.mark.parametrize(("case", "reason"), correctness.CASES)
def test_which_verdicts_may_be_trained_on(case, reason):
    status, config = case
    assert correctness.reason_to_drop(status, Quality(**config)) == reason


def test_reasons_to_drop():
    [right, wrong, none, cut, unknown] = group("cwnt?").rollouts
    quality = Quality(max_tokens=10)
    assert reason_to_drop(right, 10, "?", quality) is None
    assert reason_to_drop(right, 11, "?", quality) == "over_max_tokens"
    assert [reason_to_drop(r, 1, "?", quality) for r in (wrong, none, cut, unknown)] == [
        "wrong", "no_answer", "truncated", "timed_out"
    ]  # fmt: skip
    keep = Quality(keep_wrong=True)
    assert [reason_to_drop(r, 1, "?", keep) for r in (wrong, none, cut, unknown)] == [None, None, "truncated", "timed_out"]


@pytest.mark.parametrize(("statuses", "reason"), [("n", "empty_completion"), ("c", "empty_completion"), ("t", "truncated")])
def test_nothing_is_never_trained_on_and_has_its_own_reason(statuses, reason):
    [rollout] = group(statuses, [" \n"]).rollouts
    assert reason_to_drop(rollout, 1, "?", Quality(keep_wrong=True)) == reason


def test_a_curated_group_says_why_of_every_rollout():
    g = curate_group(group("ccccwt?"), Curate(diversity=Diversity(num_kept=2)), encode)
    assert dropped(g).count("not_picked") == 2
    assert dropped(g)[4:] == ["wrong", "truncated", "timed_out"]
    assert g.rollouts[6].advantage is None
    assert sum(r.weight for r in g.checked) == pytest.approx(6)
    examples = examples_of(g)
    assert len(examples) == 2
    assert all(e.weight > 1 for e in examples)


def test_groups_without_a_signal():
    assert dropped(curate_group(group("ww"), Curate(), encode)) == ["wrong", "wrong"]
    assert [e.weight for e in examples_of(curate_group(group("cc"), Curate(), encode))] == [1.0, 1.0]
    drop = Curate(weights=Weights(uniform_group="drop"))
    assert dropped(curate_group(group("cc"), drop, encode)) == ["no_weight", "no_weight"]
    assert examples_of(curate_group(group(""), Curate(), encode)) == []


def test_wrong_answers_can_be_kept_at_their_low_weight():
    config = Curate(quality=Quality(keep_wrong=True), diversity=Diversity(num_kept=None))
    examples = examples_of(curate_group(group("cwww"), config, encode))
    assert len(examples) == 4
    assert examples[0].weight > 1 > examples[1].weight > 0


def test_what_cannot_be_trained_on_is_dropped_before_the_most_diverse_are_picked():
    texts = ["short", "a" * 40, "other", "b" * 39]
    g = curate_group(group("cccc", texts), Curate(diversity=Diversity(num_kept=2)), encode, max_tokens=20)
    assert dropped(g) == [None, "over_train_max_length", None, "over_train_max_length"]


@pytest.mark.parametrize(("statuses", "num_kept"), [("cccccccw", 4), ("ccccccww", 4), ("cwwwwwww", 4), ("cccwwwww", None)])
def test_what_is_pushed_away_weighs_less_than_what_is_learnt_whatever_was_picked(statuses, num_kept):
    config = Curate(weights=Weights(map="signed", alpha=0.8), quality=Quality(keep_wrong=True),
                   diversity=Diversity(num_kept=num_kept))  # fmt: skip
    kept = [e.weight for e in examples_of(curate_group(group(statuses), config, encode))]
    learnt, pushed = sum(w for w in kept if w > 0), -sum(w for w in kept if w < 0)
    assert 0 < pushed <= 0.8 * learnt + 1e-9


def test_nothing_is_pushed_away_where_nothing_is_learnt():
    texts = ["<think>unpaired", "x", "y"]
    config = Curate(weights=Weights(map="signed"), quality=Quality(keep_wrong=True))
    g = curate_group(group("cww", texts), config, encode)
    assert dropped(g) == ["think_unpaired", "no_weight", "no_weight"]
    assert examples_of(g) == []
