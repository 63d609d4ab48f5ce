"""The rule, the measures, and the smoke test itself with three tiny teachers."""

import json
import random
import shutil
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from conftest import run_cli
from transformers import AutoModelForCausalLM, AutoTokenizer

from ded_ray import pipeline
from ded_ray.evaluate.intervals import Bootstrap
from ded_ray.files.parts import read_records
from ded_ray.models import surprisal
from ded_ray.models.load import model_path
from ded_ray.models.surprisal import MAX_RANK, Reader, rsr_of
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group, Rollout, to_table
from ded_ray.report.terminal import show_teachers
from ded_ray.run import Run
from ded_ray.stages import smoke_test as smoke
from ded_ray.stages.inputs import read_inputs
from ded_ray.teachers.measure import centroid_shift
from ded_ray.teachers.select import choose, compare, disagreement, mean_score
from ded_ray.tiny.problems import make_problems
from ded_ray.tiny.styles import STYLES


def row(name, score=None, rsr=None, cost=1.0):
    return {"model": name, "student_score": score, "rsr": rsr, "tokens_per_verified": cost}


def test_the_best_student_wins_and_of_equal_ones_the_cheaper_teacher():
    assert choose([row("a", 0.5), row("b", 0.7), row("c", 0.6)], None) == 1
    assert choose([row("a", 0.7, cost=9), row("b", 0.7, cost=3), row("c", None)], None) == 1
    assert choose([row("a", 0.7, cost=None), row("b", 0.7, cost=9)], None) == 1
    assert choose([row("a", 0.9, 3.0), row("b", 0.1, 2.0), row("c", 0.9, None)], "rsr") == 1
    assert choose([row("a"), row("b")], None) == 0


def test_where_the_proxy_disagrees_is_said():
    assert "agrees" in disagreement([row("a", 0.5, 3.0), row("b", 0.7, 2.0)])
    assert disagreement([row("a", 0.5, 1.0), row("b", 0.7, 2.0)]) == (
        "RSR disagrees with the training: it would have chosen a, whose student scores 0.200 less than that of b."
    )
    assert disagreement([row("a", 0.5), row("b", 0.7, 2.0)]) is None


def rates(values, name="chain"):
    return {name: {f"p{i}": float(value) for i, value in enumerate(values)}}


def test_differences_are_resampled_in_pairs():
    rng = np.random.default_rng(0)
    easy = rng.random(200)
    better, same = np.clip(easy + 0.1, 0, 1), easy + rng.normal(0, 0.01, 200)
    apart = compare([rates(easy), rates(better), rates(same)], Bootstrap(1000, 0))
    assert [apart[i][i] for i in range(3)] == [None] * 3
    low, high = apart[0][1]
    assert -0.12 < low < high < -0.07, "far narrower than the spread of the problems"
    assert apart[1][0] == pytest.approx((-high, -low), abs=0.01)
    low, high = apart[0][2]
    assert low < 0 < high


def test_an_interval_is_that_of_the_score():
    """Small and large benchmarks count alike, in the score and so in its interval."""
    one = rates([1.0] * 20 + [0.0] * 10, "small") | rates([0.9] * 500, "large")
    other = rates([0.5] * 30, "small") | rates([0.95] * 500, "large")
    difference = mean_score(one) - mean_score(other)
    assert difference == pytest.approx((2 / 3 - 0.5 - 0.05) / 2)
    low, high = compare([one, other], Bootstrap(1000, 0))[0][1]
    assert low < difference < high


def test_students_are_compared_on_what_both_could_be_checked_on():
    one, other = rates([0.5, 0.5, 0.5]), rates([0.2, 0.2, 0.2])
    del one["chain"]["p0"], other["chain"]["p1"]
    assert compare([one, other, {}], Bootstrap(100, 0)) == [[None, (0.3, 0.3), None], [(-0.3, -0.3), None, None], [None] * 3]
    assert mean_score({}) is None
    assert mean_score({"empty": {}, "chain": {"p": 0.5}}) == 0.5


def test_centroids_that_move_along_the_first_components_by_hand():
    before = np.array([[[3.0, 0, 0], [-3, 0, 0], [0, 1, 0], [0, -1, 0]]])
    assert centroid_shift(before, before + np.array([3.0, 4.0, 100.0])) == pytest.approx(5)
    both = np.concatenate([before, before])
    assert centroid_shift(both, both + np.array([[[3.0, 4, 0]], [[0.0, 0, 7]]])) == pytest.approx(2.5)


@pytest.fixture(scope="module")
def reader():
    return Reader("tiny/student")


ASKED = [(p.prompt, STYLES[style](p.prompt, 0.0, random.Random(0))) for style, p in
         zip(["careful", "terse", "rambling", "guess"] * 3, make_problems("chain", 12, (3, 8), 0), strict=True)]  # fmt: skip


def test_surprisal_and_rank_are_those_of_the_model(reader):
    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny/student"))
    model = AutoModelForCausalLM.from_pretrained(model_path("tiny/student"), dtype=torch.float32)
    for (prompt, completion), found in zip(ASKED, reader.surprises(ASKED), strict=True):
        head = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_dict=False
        )
        tail = [*tokenizer.encode(completion, add_special_tokens=False), tokenizer.eos_token_id]
        with torch.inference_mode():
            logprobs = model(torch.tensor([head + tail])).logits[0].log_softmax(-1)[len(head) - 1 : -1]
        own = logprobs[range(len(tail)), tail]
        ranks = [1 + int((logprobs[i] > own[i]).sum()) for i in range(len(tail))]
        assert found.num_tokens == len(tail)
        assert found.mean_surprisal == pytest.approx(-float(own.mean()), abs=1e-4)
        assert found.mean_rank == pytest.approx(sum(min(rank, MAX_RANK) for rank in ranks) / len(ranks))
        assert found.rsr == pytest.approx(found.mean_rank / found.mean_surprisal)
        assert np.mean(found.entropies) == pytest.approx(float(-(logprobs.exp() * logprobs).sum(-1).mean()), abs=1e-4)
    assert rsr_of([]) is None


def test_how_the_reading_is_cut_up_changes_nothing(reader, monkeypatch):
    whole = reader.surprises(ASKED)
    monkeypatch.setattr(surprisal, "LOGITS_AT_ONCE", 264 * 12 * 7)
    monkeypatch.setattr(reader, "_batch_tokens", 300)
    for one, other in zip(whole, reader.surprises(ASKED), strict=True):
        assert one.mean_surprisal == pytest.approx(other.mean_surprisal, abs=1e-5)
        assert one.mean_rank == other.mean_rank


CANDIDATES = {
    "name": "choose", "seed": 3,
    "problems": {"kind": "tiny", "num_problems": 40, "difficulty": [3, 5], "seed": 1},
    "student": {"model": "tiny/student", "measure_pass_rate": False},
    "teacher": "auto",
    "teachers": {
        "num_questions": 24, "epochs": 1,
        "candidates": [{"model": f"tiny/{name}", "sampling": {"num_rollouts": 2, "max_tokens": 160}}
                       for name in ("terse", "careful")],
    },
    "train": {"batch_size": 8, "micro_batch_size": 8, "max_steps": 2},
    "serve": {"port": 0},
    "evaluate": {"sampling": {"num_rollouts": 1, "max_tokens": 160},
                 "benchmarks": [{"name": "chain", "domain": "in",
                                 "problems": {"kind": "tiny", "num_problems": 12, "difficulty": [3, 5], "seed": 2}}]},
}  # fmt: skip


@pytest.mark.slow
def test_a_teacher_is_chosen_and_the_run_goes_on_with_it(ray_cluster, tmp_path):
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(CANDIDATES))
    shown = run_cli("teachers", tmp_path / "r.yaml", "--out", tmp_path / "run", address=ray_cluster).stdout
    found = json.loads((tmp_path / "run" / "teachers.json").read_text())
    assert [each["model"] for each in found["rows"]] == ["tiny/terse", "tiny/careful"]
    best = max(each["student_score"] for each in found["rows"])
    assert found["rows"][found["winner"]]["student_score"] == best
    for each in found["rows"]:
        assert each["num_answers"] == 24
        assert 0 < each["verified_rate"] <= 1
        assert each["own_score"] > 0.3
        assert min(each[name] for name in ("mean_surprisal", "rsr", "mean_entropy", "pca_shift", "tokens_per_verified")) > 0
    assert "the rule: highest mean in-domain pass@1" in shown
    tokens = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").glob("smoke_*/_manifest.json")}
    assert len(tokens) == 2 * 10 + 2
    run_cli("run", tmp_path / "r.yaml", "--out", tmp_path / "run", address=ray_cluster)
    assert {p: p.stat().st_mtime_ns for p in tokens} == tokens, "the smoke test is not made again"
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert sorted(each["model"] for each in scores) == ["base", "student", f"teachers.{found['winner']}"]


@pytest.mark.slow
def test_a_proxy_trains_nothing(ray_cluster, tmp_path):
    scripted = [
        {"model": name, "engine": {"kind": "scripted", "error_rate": rate}} for name, rate in (("a", 0.5), ("b", 0.0))
    ]
    recipe = CANDIDATES | {"teachers": CANDIDATES["teachers"] | {"candidates": scripted}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    run_cli("teachers", tmp_path / "r.yaml", "--out", tmp_path / "run", "--set", "teachers.proxy=rsr", address=ray_cluster)
    found = json.loads((tmp_path / "run" / "teachers.json").read_text())
    assert found["rows"][found["winner"]]["rsr"] == min(each["rsr"] for each in found["rows"])
    assert "student_score" not in found["rows"][0]
    assert "differences_ci95" not in found["rows"][0]
    assert not list((tmp_path / "run").glob("smoke_*_student"))


@pytest.mark.slow
def test_a_candidate_of_which_nothing_can_be_learnt_comes_last(ray_cluster, tmp_path, monkeypatch):
    """Its answers are all cut off; the other one's student is not really trained here."""

    def pretend(pending, benchmarks, recipe):
        [(stage, _)] = pending
        stage.begin()
        for benchmark, problems in benchmarks.items():
            rollout = Rollout(index=0, completion="", num_tokens=1, finish_reason="stop", seed=0, status="correct")
            groups = [Group.of(problem, problem.problem_id, "m", [rollout]) for problem in problems]
            pq.write_table(to_table(groups, Group), stage.folder / f"{benchmark}.parquet")
        stage.seal("samples", 0, Counter(), 0)

    def pretend_to_train(curated, stage, recipe):
        if not any(r.dropped_because is None for g in read_records(curated.folder, Group) for r in g.rollouts):
            train_on(curated, stage, recipe)
        shutil.copytree(model_path("tiny/student"), stage.begin() / "model")
        stage.seal("examples", 0, Counter(), 0)

    train_on = smoke.train_on
    monkeypatch.setattr(smoke, "train_on", pretend_to_train)
    monkeypatch.setattr(smoke, "evaluate_models", pretend)
    scripted = [{"model": name, "engine": {"kind": "scripted", "cut_off_rate": rate}, "sampling": {"num_rollouts": 2}}
                for name, rate in (("cut", 1.0), ("whole", 0.0))]  # fmt: skip
    recipe = CANDIDATES | {"teachers": CANDIDATES["teachers"] | {"candidates": scripted}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    loaded = load_recipe(tmp_path / "r.yaml")
    inputs = read_inputs(loaded)
    run = Run.create(tmp_path / "run", loaded)
    found = smoke.smoke_test(run, inputs, pipeline.choose_problems(run, inputs))
    assert found["rows"][found["winner"]]["model"] == "whole"
    cut, whole = found["rows"]
    assert (cut["student_score"], cut["cut_off_rate"], cut["rsr"]) == (None, 1.0, None)
    assert (whole["student_score"], whole["differences_ci95"]) == (1.0, [None, None])
    assert whole["pca_shift"] == 0
    show_teachers(found)
    reordered = recipe | {"teachers": recipe["teachers"] | {"candidates": scripted[::-1]}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(reordered))
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "run").glob("smoke_*_rollouts/_manifest.json")}
    again = Run.create(tmp_path / "run", load_recipe(tmp_path / "r.yaml"))
    assert smoke.smoke_test(again, inputs, pipeline.choose_problems(again, inputs))["winner"] == 0
    assert {path: path.stat().st_mtime_ns for path in made} == made, "another order asks nobody again"
