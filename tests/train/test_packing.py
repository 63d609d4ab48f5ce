import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ded_ray.recipe import HeldOut, PassRate, Student
from ded_ray.records import Group, Rollout
from ded_ray.tiny.problems import make_problems
from ded_ray.train.guard import NUM_SEEN, what_went_wrong
from ded_ray.train.held_out import LOSS, PASS_RATE, best_step, is_over, split
from ded_ray.train.packing import best_fit, share_out
from ded_ray.train.tokens import Tokens, write_tokens

LENGTHS = st.dictionaries(st.integers(0, 999), st.integers(1, 100), min_size=1, max_size=60)


@given(LENGTHS)
def test_rows_hold_everything_once_and_never_too_much(lengths):
    rows = best_fit(list(lengths), lengths, 100)
    assert sorted(i for row in rows for i in row) == sorted(lengths)
    assert all(sum(lengths[i] for i in row) <= 100 for row in rows)
    assert len(rows) <= 2 * -(-sum(lengths.values()) // 100) + 1


@given(LENGTHS, st.integers(1, 5))
def test_every_worker_has_equally_many_rows(lengths, num_workers):
    shares = share_out(list(lengths), lengths, num_workers=num_workers, capacity=100)
    assert len({len(share) for share in shares}) == 1
    assert sorted(i for share in shares for row in share for i in row) == sorted(lengths)
    assert all(sum(lengths[i] for i in row) <= 100 for share in shares for row in share)


def test_what_is_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="a sequence of 101 tokens is longer than a row of 100"):
        best_fit([0], {0: 101}, 100)


def test_what_has_gone_wrong_is_said():
    assert what_went_wrong(1.0, 1.0, []) is None
    assert what_went_wrong(float("nan"), 1.0, []) == "the loss is nan"
    assert what_went_wrong(1.0, float("inf"), []) == "the gradient norm is inf"
    assert what_went_wrong(1.0, 9e3, [1.0] * NUM_SEEN) is None
    assert what_went_wrong(1.0, 2e4, [1.0] * NUM_SEEN) == "the gradient norm is 2e+04, 20000 times its median"
    assert what_went_wrong(1.0, 2e4, [1.0] * (NUM_SEEN - 1)) is None


def curve(*losses):
    return [{"step": step, LOSS: loss} if loss is not None else {"step": step} for step, loss in enumerate(losses, start=1)]


def test_the_best_step_and_when_to_stop():
    assert best_step(curve(None, None), HeldOut()) is None
    assert best_step(curve(3.0, None, 1.0, 1.0, 2.0), HeldOut()) == 3
    patient = HeldOut(patience=2)
    assert not is_over(curve(3.0, 1.0, 2.0), patient)
    assert is_over(curve(3.0, 1.0, 2.0, 1.0), patient)
    assert not is_over(curve(3.0, 1.0, 2.0, 0.5), patient)
    assert not is_over(curve(1.0, 2.0, 3.0, 4.0), HeldOut())


def test_a_pass_rate_decides_where_it_is_asked_for():
    """Higher is better, the first of equals, whatever the loss says; what could not be measured has no say."""
    asked = HeldOut(patience=2, pass_rate=PassRate())
    points = curve(1.0, 0.5, 0.4, 0.3, 0.2)
    assert best_step(points, asked) is None
    for point, rate in zip(points, (0.2, 0.6, None, 0.6, 0.5), strict=True):
        if rate is not None:
            point[PASS_RATE] = rate
    assert best_step(points, asked) == 2
    assert best_step(points, HeldOut()) == 5
    assert is_over(points, asked)
    assert not is_over(points[:4], asked)
    assert not is_over(points, HeldOut(patience=2))


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    groups = [
        Group.of(
            problem, f"g{i}", "t",
            [Rollout(index=k, completion="7 " * (i + k), num_tokens=1, finish_reason="stop", seed=0, weight=1.0 + k,
                     dropped_because="wrong" if k == 2 else None) for k in range(3)],
        )
        for i, problem in enumerate(make_problems("chain", 20, (2, 6), 0))
    ]  # fmt: skip
    halves = groups[7:], groups[:7]
    files = [file for half in halves for file in write_tokens(half, Student(model="tiny/student"), 60, folder)]
    return folder, groups, files


def test_tokens_come_back_in_an_order_of_their_own(tokens):
    folder, _, files = tokens
    read = Tokens(folder)
    assert len(read) == sum(file.num_kept for file in files)
    assert sum(file.num_kept + file.num_too_long for file in files) == 40
    keys = [(read.problem_id(i), read.name(i)) for i in range(len(read))]
    assert keys == sorted(keys, key=lambda key: (key[0], key[1].split("/")[0], int(key[1].split("/")[1])))
    assert all(read[i].length == read.lengths[i] <= 60 for i in range(len(read)))
    assert np.array_equal(read.num_trained, [len(read[i].completion_ids) for i in range(len(read))])
    assert {read[i].weight for i in range(len(read))} == {1.0, 2.0}


def test_all_answers_to_a_question_are_on_the_same_side(tokens):
    read = Tokens(tokens[0])
    trained, out = split(read, HeldOut(fraction=0.2))
    assert sorted(trained + out) == list(range(len(read)))
    assert out
    assert not {read.problem_id(i) for i in trained} & {read.problem_id(i) for i in out}
    assert split(read, None) == (list(range(len(read))), [])


def test_a_file_of_which_nothing_was_kept(tokens, tmp_path):
    _, groups, _ = tokens
    student = Student(model="tiny/student")
    write_tokens(groups[:2], student, 60, tmp_path)
    before = [Tokens(tmp_path)[i] for i in range(len(Tokens(tmp_path)))]
    [none] = write_tokens(groups[2:3], student, 1, tmp_path)
    assert (none.num_kept, none.num_too_long) == (0, 2)
    assert [Tokens(tmp_path)[i] for i in range(len(Tokens(tmp_path)))] == before
