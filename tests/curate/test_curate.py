import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from ded_ray.curate.compress import compress, student_pass_rate
from ded_ray.curate.diversity import farthest
from ded_ray.curate.group import curate_group, examples_of
from ded_ray.curate.quality import reason_to_drop, think_is_paired
from ded_ray.recipe import Curate, Diversity, Quality, Weights
from ded_ray.records import Group, Problem, Rollout


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
    assert student_pass_rate(group("cw??")) == 0.5
    assert student_pass_rate(group("??")) is None
    assert student_pass_rate(group("cwnt")) == 0.25


@pytest.mark.parametrize(("statuses", "reason"), [("cccw", None), ("cccc", "student_pass_rate"), ("????", None)])
def test_what_the_student_knows_is_dropped(statuses, reason):
    problem = compress(group(statuses), max_student_pass_rate=0.75)
    assert problem.dropped_because == reason
    assert problem.prompt == "?"
    assert problem.student_mean_tokens == 1


@pytest.mark.parametrize(
    ("text", "paired"),
    [
        ("no tags", True),
        ("<think>a</think>b", True),
        ("a</think>b", True),  # the template opened it
        ("<think>a", False),
        ("</think>a<think>", False),
        ("<think>a</think></think>b", False),
        ("<think><think>a</think>b", False),
    ],
)
def test_think_pairing(text, paired):
    assert think_is_paired(text) is paired


def test_reasons_to_drop():
    [right, wrong, none, cut, unknown] = group("cwnt?").rollouts
    quality = Quality(max_tokens=10)
    assert reason_to_drop(right, 10, quality) is None
    assert reason_to_drop(right, 11, quality) == "too_long"
    assert [reason_to_drop(r, 1, quality) for r in (wrong, none, cut, unknown)] == [
        "wrong", "no_answer", "truncated", "timed_out"
    ]  # fmt: skip
    keep = Quality(keep_wrong=True)
    assert [reason_to_drop(r, 1, keep) for r in (wrong, none, cut, unknown)] == [None, None, "truncated", "timed_out"]


def test_farthest_by_hand():
    words = ["aaaa", "aaab", "bbbb", "cccc", "aaaa"]
    ids = [encode(word) for word in words]
    picks = farthest(ids, 3)
    assert picks[0] == 3  # the largest summed distance: 4 from everything
    assert {words[i] for i in picks} == {"cccc", "bbbb", "aaaa"}
    assert farthest(ids, 9)[:3] == picks
    assert {words[i] for i in farthest(ids, 9)} == set(words)
    assert farthest([], 4) == []


def test_a_completion_is_never_picked_twice():
    assert farthest([[1, 2]] * 8, 4) == [0]
    assert len(farthest([[1], [1], [2], [2]], 4)) == 2
    assert farthest([[], []], 2) == [0]


@given(st.lists(st.lists(st.integers(0, 3), max_size=6), max_size=8), st.integers(1, 8))
def test_every_pick_is_the_farthest_from_the_picks_before_it(ids, num_kept):
    picks = farthest(ids, num_kept)
    assert len(picks) == min(num_kept, len({tuple(i) for i in ids}))
    for n in range(1, len(picks)):

        def gap(i: int, before: list[int] = picks[:n]) -> int:
            return min(Levenshtein.distance(ids[i], ids[p]) for p in before)

        assert gap(picks[n]) == max(gap(i) for i in range(len(ids)))


def test_a_curated_group_says_why_of_every_rollout():
    g = curate_group(group("ccccwt?"), Curate(diversity=Diversity(num_kept=2)), encode)
    assert dropped(g).count("not_diverse") == 2
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
    knobs = Curate(quality=Quality(keep_wrong=True), diversity=Diversity(num_kept=None))
    examples = examples_of(curate_group(group("cwww"), knobs, encode))
    assert len(examples) == 4
    assert examples[0].weight > 1 > examples[1].weight > 0
