"""A budget stops a run cleanly in the middle of its answers, and nothing that was paid for is lost."""

from functools import partial

import pytest
from conftest import PROJECT

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.folders import make
from ded_ray.files.lines import append_line
from ded_ray.generate.engines.budget import costs_file
from ded_ray.generate.store import compact
from ded_ray.pipeline import ask_student
from ded_ray.recipe.load import load_recipe
from ded_ray.run import Run, Stage
from ded_ray.runtime.spending import Spending, read_spent
from ded_ray.stages import spending
from ded_ray.stages.inputs import read_inputs
from ded_ray.stages.problems import choose_problems
from ded_ray.stages.spending import check_budget, endpoint_usd

QUICKSTART = PROJECT / "ded_ray" / "tiny" / "quickstart.yaml"
ENDPOINT = (
    "teacher={{model: big, engine: {{kind: openai, usd_per_million_prompt_tokens: {0}, "
    "usd_per_million_completion_tokens: {1}}}}}"
)


def test_a_run_stops_in_the_middle_of_answers_and_goes_on_there(run_folder, tmp_path, ray_cluster, monkeypatch):
    folder, notes = run_folder, tmp_path / "notes"
    slow = f"{{kind: scripted, error_rate: 0.5, batch_size: 1, seconds_per_group: 0.3, notes: {notes}}}"
    knobs = ["problems.num_problems=40", f"student.engine={slow}", "curate.compress.max_student_pass_rate=1"]

    def an_hour_after_the_first_answers() -> float:
        return 3600.0 if notes.exists() else 0.0

    monkeypatch.setattr(spending, "Spending", partial(Spending, clock=an_hour_after_the_first_answers))
    monkeypatch.setattr(spending, "gpus_held", lambda _: 2)

    def ask(*more: str) -> Stage:
        recipe = load_recipe(QUICKSTART, [*knobs, *more])
        inputs, run = read_inputs(recipe), Run.create(folder, recipe)
        return ask_student(run, inputs, choose_problems(run, inputs))

    with pytest.raises(Stopped, match=r"budget\.max_gpu_hours: 2 are spent, and the cap is 1\.5; raise it"):
        ask("budget.max_gpu_hours=1.5")
    asked = notes.read_text().split()
    assert 0 < len(asked) < 40
    assert len(compact(folder / "student_rollouts").ids) == len(asked), "all that was made is saved"
    with pytest.raises(Stopped, match=r"budget\.max_gpu_hours"):
        ask("budget.max_gpu_hours=1.5")
    assert notes.read_text().split() == asked, "a spent budget begins nothing"
    assert ask("budget.max_gpu_hours=9").done
    assert len(notes.read_text().split()) == len(set(notes.read_text().split())) == 40, "nothing is asked twice"
    assert read_spent(folder / "spent.json") == {"student answers": {"seconds": 3600, "gpu_hours": 2}}


def test_endpoints_count_with_their_prices(run_folder):
    recipe = load_recipe(QUICKSTART, [ENDPOINT.format(1, 10)])
    teacher = recipe.teachers.candidates[0]
    assert endpoint_usd(recipe, run_folder) == 0
    for request, where in enumerate(("teacher_rollouts", "evaluate_teacher/_rollouts")):
        file = make(run_folder / where) / costs_file(teacher.model, teacher.engine)
        append_line(file, {"request": str(request), "prompt_tokens": 1_000_000, "completion_tokens": 100_000})
    assert endpoint_usd(recipe, run_folder) == 4.0


@pytest.mark.parametrize(
    ("knobs", "says"),
    [
        (["budget.max_usd=5"], "budget.max_usd: nothing has a price; set budget.usd_per_gpu_hour"),
        (["budget.max_usd=5", ENDPOINT.format("null", 10)], "budget.max_usd: big has no price"),
        (["budget.max_usd=5", ENDPOINT.format(1, 10)], None),
        (["budget.max_usd=5", "budget.usd_per_gpu_hour=2"], None),
    ],
)
def test_money_needs_a_price(knobs, says):
    recipe = load_recipe(QUICKSTART, knobs)
    if says is None:
        check_budget(recipe)
    else:
        with pytest.raises(BadInput, match=says):
            check_budget(recipe)
