"""Which stages are made again, and which are not, when a recipe changes: without a model or Ray."""

from collections import Counter
from pathlib import Path

import pytest

from ded_ray import pipeline, stages
from ded_ray.recipe.load import load_recipe
from ded_ray.run import Run
from ded_ray.stages.inputs import Inputs
from ded_ray.tiny.problems import make_problems

QUICKSTART = Path(__file__).parent.parent / "ded_ray" / "tiny" / "quickstart.yaml"


@pytest.fixture
def evaluated(tmp_path, monkeypatch):
    """A function that evaluates with some knobs overridden, and returns the names of the models that were asked."""
    asked: list[str] = []

    def remember(pending, benchmarks, recipe):
        for stage, model in pending:
            asked.append(model.name)
            stage.begin()
            stage.seal("samples", 0, Counter(), 0)

    monkeypatch.setattr(stages.evaluate, "evaluate_models", remember)

    def evaluate(*overrides: str) -> list[str]:
        asked.clear()
        run = Run.create(tmp_path / "run", load_recipe(QUICKSTART, list(overrides)))
        checkpoint = run.stage("checkpoint", [])
        if not checkpoint.done:
            checkpoint.begin()
            checkpoint.seal("examples", 0, Counter(), 0)
        inputs = Inputs([], {"chain": make_problems("chain", 3, (3, 5), 0)}, {}, {})
        pipeline.evaluate(run, inputs, checkpoint, run.recipe.teachers.candidates)
        return list(asked)

    return evaluate


def test_another_model_is_measured_and_no_other(evaluated):
    assert evaluated() == ["base", "student", "teacher"]
    assert evaluated() == []
    assert evaluated("teacher.model=tiny/terse") == ["teacher"]
    assert evaluated("teacher.model=tiny/terse", "student.model=tiny/rambling") == ["base"]


def test_speed_measures_nothing_again(evaluated):
    evaluated()
    assert evaluated("evaluate.concurrency=2", "verify.workers=2") == []
    assert evaluated("evaluate.sampling.temperature=0.5") == ["base", "student", "teacher"]
