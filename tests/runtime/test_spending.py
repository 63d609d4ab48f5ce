"""The arithmetic of what a run has spent, by a clock that the test turns."""

import pytest

from ded_ray.errors import Stopped
from ded_ray.recipe import Budget
from ded_ray.runtime.spending import Spending, read_spent


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def spending(tmp_path, clock):
    """A function that opens the file again, as a resumed run does, with these caps."""

    def open_again(endpoint_usd=lambda: 0.0, **caps):
        return Spending(tmp_path / "spent.json", Budget(**caps), endpoint_usd, clock=clock)

    return open_again


def test_gpu_hours_are_gpus_times_hours_and_add_up_over_reruns(spending, clock, tmp_path):
    for _ in range(2):
        with spending().step("train", gpus=8):
            clock.now += 1800
    with spending().step("evaluate", gpus=0):
        clock.now += 60
    assert read_spent(tmp_path / "spent.json") == {
        "train": {"seconds": 3600, "gpu_hours": 8},
        "evaluate": {"seconds": 60, "gpu_hours": 0},
    }


def test_what_passes_a_cap_is_told_while_it_runs_and_no_step_begins_after_it(spending, clock):
    with spending(max_gpu_hours=1).step("train", gpus=2) as why_over:
        clock.now += 1700
        assert why_over() is None
        clock.now += 200
        assert why_over() == "budget.max_gpu_hours: 1.056 are spent, and the cap is 1; raise it"
    with pytest.raises(Stopped, match="max_gpu_hours"), spending(max_gpu_hours=1).step("evaluate", gpus=1):
        pytest.fail("it began")
    with spending(max_gpu_hours=2).step("evaluate", gpus=1) as why_over:
        assert why_over() is None, "a raised cap is all that it takes"


def test_money_is_gpus_and_endpoints_together(spending, clock):
    with spending(lambda: 3.0, max_usd=10, usd_per_gpu_hour=2).step("train", gpus=4) as why_over:
        clock.now += 3000
        assert why_over() is None
        clock.now += 600
        assert why_over() == "budget.max_usd: 11 are spent, and the cap is 10; raise it"


def test_a_kill_costs_the_file_seconds_only(spending, clock, tmp_path):
    with spending().step("train", gpus=1) as why_over:
        clock.now += 100
        why_over()
        assert read_spent(tmp_path / "spent.json")["train"]["seconds"] == 100


def test_a_failure_is_paid_for_too(spending, clock, tmp_path):
    with pytest.raises(ZeroDivisionError), spending().step("train", gpus=1):
        clock.now += 7
        raise ZeroDivisionError
    assert read_spent(tmp_path / "spent.json")["train"]["seconds"] == 7
