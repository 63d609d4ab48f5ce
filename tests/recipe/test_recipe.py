from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from ded_ray.errors import BadInput
from ded_ray.recipe import Code, Evaluate, FileProblems, Sampling, Verify
from ded_ray.recipe.load import load_recipe

PROJECT = Path(__file__).parents[2]
QUICKSTART = PROJECT / "ded_ray" / "tiny" / "quickstart.yaml"


def test_every_recipe_of_the_project_loads():
    recipes = [QUICKSTART, *sorted((PROJECT / "jobs" / "recipes").glob("*.yaml"))]
    assert len(recipes) >= 2
    for path in recipes:
        load_recipe(path)


def test_overrides_reach_deep_and_into_lists():
    recipe = load_recipe(QUICKSTART, ["train.strategy={kind: deepspeed}", "evaluate.benchmarks.0.problems.num_problems=3"])
    assert recipe.train.strategy.kind == "deepspeed"
    assert recipe.train.strategy.zero_stage == 2
    assert recipe.evaluate.benchmarks[0].problems.num_problems == 3


def test_a_resolved_recipe_loads_as_the_same_recipe(tmp_path):
    recipe = load_recipe(QUICKSTART)
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")))
    assert load_recipe(tmp_path / "r.yaml") == recipe


def test_a_list_of_teachers_can_be_given_the_knobs_of_what_it_is_short_for(tmp_path):
    recipe = yaml.safe_load(QUICKSTART.read_text())
    recipe["teachers"] = [{"model": "tiny/careful"}, {"model": "tiny/terse"}]
    recipe["teacher"] = "auto"
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    loaded = load_recipe(tmp_path / "r.yaml", ["teachers.1.model=tiny/rambling", "teachers.proxy=rsr"])
    assert (loaded.teachers.proxy, loaded.teachers.choose) == ("rsr", True)
    assert [generator.model for generator in loaded.teachers.candidates] == ["tiny/careful", "tiny/rambling"]


def test_relative_paths_belong_to_the_recipes_folder(tmp_path):
    text = "name: n\nproblems: {kind: file, path: data/p.jsonl}\nstudent: {model: m}\nteacher: {model: t}\n"
    (tmp_path / "r.yaml").write_text(text)
    assert load_recipe(tmp_path / "r.yaml").problems[0].path == str(tmp_path / "data" / "p.jsonl")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("train.epoch=3", "train.epoch: unknown knob; did you mean `epochs`?"),
        ("train.epochs=many", "train.epochs: Input should be a valid integer"),
        ("train.epochs=0", "train.epochs: Input should be greater than 0"),
        ("train.held_out={pass_rate: {num_sample: 2}}", "held_out.pass_rate.num_sample: unknown knob; did you mean"),
        ("train.held_out={pass_rate: {max_tokens: 2048}}", "train: held_out.pass_rate.max_tokens: must be below max_length"),
        ("train.batch_size=33", "train.batch_size: must be a multiple of train.workers"),
        ("train.attention=flex_attention", "train: attention: flex_attention trains on GPUs only"),
        ("student.engine={kind: magic}", "student.engine: Input tag 'magic'"),
        ("student.engine={kind: replay, path: x}", "student.engine: the student answers itself"),
        ("curate.weights.map=tanh", "curate.weights.map: Input should be 'softmax', 'relu', 'clip', 'signed' or 'none'"),
        ("evaluate.benchmarks.9.name=x", "--set evaluate.benchmarks.9.name=x: there is no such knob"),
        ("train", "--set train: write it as a.b=value"),
    ],
)
def test_a_bad_knob_is_one_clear_line(override, says):
    with pytest.raises(BadInput) as error:
        load_recipe(QUICKSTART, [override])
    assert says in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [("", "is empty"), ("- 1", "is not one"), ("a: [", "not YAML"), ("name: x", "problems: Field required")],
)
def test_a_bad_recipe_file_is_one_clear_line(tmp_path, text, says):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(BadInput) as error:
        load_recipe(tmp_path / "r.yaml")
    assert says in str(error.value)
    assert "\n" not in str(error.value)
    assert str(tmp_path / "r.yaml") in str(error.value)


def test_what_only_makes_a_run_faster_makes_nothing_again():
    before = load_recipe(QUICKSTART)
    after = load_recipe(QUICKSTART, ["train.max_failures=9", "verify.workers=2", "teacher.engine.workers=1"])
    assert before.train.identity() == after.train.identity()
    assert before.verify.identity() == after.verify.identity()
    assert before.teachers.candidates[0].engine.identity() == after.teachers.candidates[0].engine.identity()
    assert load_recipe(QUICKSTART, ["train.batch_size=8"]).train.identity() != before.train.identity()


def test_a_later_versions_knob_at_its_default_is_no_part_of_the_identity_however_deep_it_is():
    problems = {"kind": "file", "path": "p.jsonl"}
    plain = Evaluate.model_validate({"benchmarks": [{"name": "b", "domain": "in", "problems": problems}]})
    skipping = Evaluate.model_validate(
        {"benchmarks": [{"name": "b", "domain": "in", "problems": problems | {"skip_missing": True}}]}
    )
    dumped = plain.model_dump(mode="json", exclude=Evaluate.SPEED)
    del dumped["benchmarks"][0]["num_samples"]
    for added in FileProblems.ADDED:
        del dumped["benchmarks"][0]["problems"][added]
    assert plain.identity() == dumped
    assert skipping.identity() != plain.identity()


def test_names_of_the_hub_are_no_paths_of_the_recipes_folder(tmp_path):
    text = "name: n\nproblems: {kind: file, path: someone/set-1.5}\nstudent: {model: m}\nteacher: {model: t}\n"
    (tmp_path / "r.yaml").write_text(text)
    assert load_recipe(tmp_path / "r.yaml").problems[0].path == "someone/set-1.5"
    (tmp_path / "someone" / "set-1.5").mkdir(parents=True)
    assert load_recipe(tmp_path / "r.yaml").problems[0].path == str(tmp_path / "someone" / "set-1.5")


def test_a_knob_that_was_added_counts_only_once_it_is_set():
    assert "tolerance" not in Verify().identity()["code"]
    assert Verify(code=Code(tolerance=0)).identity() == Verify().identity()
    assert Verify(code=Code(tolerance=1e-6)).identity()["code"]["tolerance"] == 1e-6


def test_at_temperature_0_one_rollout_is_all():
    assert Sampling(temperature=0).rounds == [1]
    for several in ({"num_rollouts": 4}, {"adaptive": {}}):
        with pytest.raises(ValidationError, match="temperature: 0 makes all rollouts of a prompt the same"):
            Sampling(temperature=0, **several)
    benchmark = {"name": "aime24", "domain": "out", "problems": {"kind": "benchmark", "name": "aime24"}}
    greedy = {"temperature": 0}
    assert Evaluate(sampling=greedy, benchmarks=[benchmark]).sampling.num_rollouts == 1
    with pytest.raises(ValidationError, match="aime24: take num_samples: 1"):
        Evaluate(sampling=greedy, benchmarks=[benchmark | {"num_samples": 16}])
