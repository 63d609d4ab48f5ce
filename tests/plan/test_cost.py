"""The arithmetic of a plan by hand, and what it calls unknown."""

import pytest
from shapes import qwen3

from ded_ray.plan.cost import Coster
from ded_ray.plan.interval import Interval, short
from ded_ray.plan.speed import UTILISED, training_speed
from ded_ray.plan.work import JUDGED, KEPT, LEFT, LENGTH, UNCHECKED, Known, work_of
from ded_ray.recipe import Prices, Recipe
from ded_ray.recipe.load import load_prices

KNOWN = Known(num_problems=100, benchmarks={"b": 10}, prompt_tokens=50)
SPEEDS = Prices(usd_per_gpu_hour=2, tokens_per_second_per_gpu=1000, train_tokens_per_second_per_gpu=500)


def recipe(teacher=None, **more) -> Recipe:
    vllm = {"kind": "vllm", "workers": 2, "tensor_parallel": 2}
    return Recipe.model_validate({
        "name": "n", "problems": {"kind": "tiny"},
        "student": {"model": "s", "engine": vllm, "sampling": {"num_rollouts": 4, "max_tokens": 1000}},
        "teacher": teacher or {"model": "t", "engine": vllm, "sampling": {"num_rollouts": 8, "max_tokens": 1000}},
        "train": {"use_gpu": True, "workers": 2, "epochs": 3, "batch_size": 10},
        "evaluate": {"benchmarks": [{"name": "b", "domain": "in", "problems": {"kind": "tiny"}}]},
        **more,
    })  # fmt: skip


def costs(made: Recipe, known: Known = KNOWN, prices: Prices = SPEEDS, shapes=None):
    return {cost.step: cost for cost in Coster(made, known, shapes or {}, prices).costs(work_of(made, known))}


def test_answers_by_hand():
    student = costs(recipe())["student answers"]
    assert student.rollouts == Interval.exactly(400)
    assert student.tokens == LENGTH * 400_000
    assert student.gpus == 4
    assert student.seconds == LENGTH * 400_000 * (1 / 4000)  # 1,000 a second of each of 4 GPUs
    assert student.gpu_hours.mid == pytest.approx(50 / 3600 * 4)
    assert student.usd.mid == pytest.approx(2 * student.gpu_hours.mid)
    teacher = costs(recipe())["teacher answers"]
    assert teacher.rollouts == LEFT * 800
    assert teacher.tokens == LEFT * 800 * (LENGTH * 1000)


def test_training_by_hand():
    train = costs(recipe())["train"]
    examples = LEFT.mid * 100 * min(4, KEPT.mid * 8)
    assert train.tokens.mid == pytest.approx(examples * 3 * (500 + 50))
    assert train.gpu_hours.mid == pytest.approx(train.tokens.mid / 500 / 3600)
    stopped = costs(recipe(train={"use_gpu": True, "workers": 2, "batch_size": 10, "max_steps": 7}))["train"]
    assert stopped.tokens.mid == pytest.approx(examples * 7 / 20 * 550)  # 7 of the 20 batches of an epoch


def test_what_is_known_replaces_guesses():
    known = Known(100, {"b": 10}, num_questions=30, num_examples=77, tokens={"student": Interval(190, 200, 210)})
    found = costs(recipe(), known)
    assert found["student answers"].tokens == Interval(190, 200, 210) * 400
    assert found["teacher answers"].rollouts == Interval.exactly(240)
    assert found["train"].tokens.high == 77 * 3 * 1000


def test_endpoints_are_paid_by_the_token_and_a_prompt_once_a_request():
    engine = {"kind": "openai", "usd_per_million_prompt_tokens": 1, "usd_per_million_completion_tokens": 10}
    teacher = {"model": "t", "engine": engine, "sampling": {"num_rollouts": 8, "max_tokens": 1000}}
    made = costs(recipe(teacher))["teacher answers"]
    assert made.gpu_hours == Interval.exactly(0)
    assert made.usd.mid == pytest.approx(50 * 50 / 1e6 + 50 * 8 * 500 * 10 / 1e6)
    each = {**teacher, "engine": {**engine, "choices_per_request": 1}}
    assert costs(recipe(each))["teacher answers"].usd.mid == pytest.approx(50 * 8 * 50 / 1e6 + 50 * 8 * 500 * 10 / 1e6)


def test_a_judge_is_paid_for_what_it_reads_and_its_gpus_are_counted_once():
    endpoint = {"kind": "openai", "usd_per_million_prompt_tokens": 1, "usd_per_million_completion_tokens": 10}
    judge = {"model": "j", "engine": endpoint, "audit_rate": 0.1, "sampling": {"num_rollouts": 3, "max_tokens": 100}}
    made = costs(recipe(verify={"judge": judge}))
    judged = made["judge"]
    answers = sum(made[step].rollouts.mid for step in ("student answers", "teacher answers", "evaluate"))
    asked = answers * (UNCHECKED.mid + 0.1)
    assert judged.rollouts.mid == pytest.approx(3 * asked)
    assert judged.rollouts.high == 3 * sum(made[s].rollouts.high for s in ("student answers", "teacher answers", "evaluate"))
    assert judged.tokens.mid == pytest.approx(3 * asked * 50)
    assert judged.usd.mid == pytest.approx(asked * (JUDGED.mid + 50) / 1e6 + 3 * asked * 50 * 10 / 1e6)
    assert judged.seconds == judged.gpu_hours == Interval.exactly(0)
    here = costs(recipe(verify={"judge": {**judge, "engine": {"kind": "vllm"}}}))
    assert here["judge"].gpus == 0
    assert here["student answers"].gpus == 5, "4 of the student's, 1 of the judge's"
    assert "judge" not in costs(recipe())


def test_what_nobody_can_know_is_unknown_and_so_is_its_sum():
    found = costs(recipe(), prices=Prices())
    assert found["student answers"].gpu_hours is None
    assert found["student answers"].tokens.mid == 200_000
    unpriced = costs(recipe(), prices=Prices(tokens_per_second_per_gpu=1000))["student answers"]
    assert unpriced.gpu_hours is not None
    assert unpriced.usd is None


def test_speeds_of_a_gpu_are_of_the_order_that_is_published():
    trained = training_speed(qwen3("0.6B"), Prices(), tokens=8192, checkpointing=False)
    assert trained.mid * 0.1681 / UTILISED.mid == pytest.approx(26_005, rel=0.02)  # prime-rl's, at its utilisation
    found = costs(recipe(), prices=Prices(), shapes={"s": qwen3("8B"), "t": qwen3("32B")})
    per_gpu = found["student answers"].tokens.mid / found["student answers"].seconds.mid / 4
    assert 2_000 < per_gpu < 20_000


def test_more_memory_answers_faster():
    long = {"model": "t", "engine": {"kind": "vllm"}, "sampling": {"num_rollouts": 8, "max_tokens": 32_000}}
    seconds = [
        costs(recipe(long), prices=Prices(gpu_memory_gib=gib), shapes={"t": qwen3("32B")})["teacher answers"].seconds
        for gib in (79, 139)
    ]
    assert seconds[0].mid > 2 * seconds[1].mid, "a few completions at once beside many"


def test_a_sample_narrows_the_interval():
    few, many = Interval.of_mean([100, 300] * 3), Interval.of_mean([100, 300] * 300)
    assert few.mid == many.mid == 200
    assert many.high - many.low < (few.high - few.low) / 5


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.123, "0.12"), (7, "7"), (1234, "1234"), (65_500_000, "65.5M")])
def test_numbers_as_people_read_them(value, text):
    assert short(value) == text


def test_a_file_of_prices_is_read_like_a_recipe(tmp_path):
    from ded_ray.errors import BadInput

    file = tmp_path / "prices.yaml"
    file.write_text("usd_per_gpu_hour: 2.5\nmodels: {m: {tokens_per_second_per_gpu: 7}}\n")
    prices = load_prices(file, 141)
    assert prices.speed_of("m").tokens_per_second_per_gpu == 7
    assert prices.speed_of("other").tokens_per_second_per_gpu is None
    assert prices.gpu_memory_gib == 141
    file.write_text("usd_per_gpu_hours: 2.5\n")
    with pytest.raises(BadInput, match=r"prices.yaml: usd_per_gpu_hours: unknown knob; did you mean `usd_per_gpu_hour`"):
        load_prices(file)
