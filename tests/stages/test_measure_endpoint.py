"""Any endpoint is measured without a run, and two measurements are compared."""

import json
from collections import Counter

import pytest
from conftest import run_cli
from test_evaluate import Server

from ded_ray import pipeline
from ded_ray.errors import BadInput
from ded_ray.recipe import Recipe
from ded_ray.report.diagnosis import diagnosis, differences
from ded_ray.run import Run
from ded_ray.stages.endpoint import endpoint_recipe, named_benchmarks


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "aime.jsonl"
    path.write_text(
        "".join(json.dumps({"id": i, "problem": f"What is {i} + 1?", "answer": str(i + 1)}) + "\n" for i in range(6))
    )
    return path


class Adder(Server):
    """Knows what one more is, and is wrong about some numbers."""

    wrong: frozenset[int] = frozenset()

    def answer_to(self, prompt):
        number = int(prompt.split()[2])
        return f"The answer is \\boxed{{{number + (2 if number in self.wrong else 1)}}}."


@pytest.fixture
def adder():
    import threading

    with Adder() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.slow
def test_an_endpoint_is_measured_goes_on_and_is_compared(ray_cluster, rows, adder, tmp_path):
    def measure(out):
        command = [
            "evaluate",
            "--url",
            adder.url,
            "--model",
            "some/model",
            "--benchmarks",
            f"aime24={rows}",
            "--samples",
            "3",
        ]
        return run_cli(*command, "--out", out, address=ray_cluster)

    adder.wrong = frozenset({2})
    first = measure(tmp_path / "one")
    [score] = json.loads((tmp_path / "one" / "scores.json").read_text())
    assert (score["model"], score["benchmark"], score["num_samples"]) == ("some-model", "aime24", 18)
    assert score["pass_at_1"] == pytest.approx(5 / 6, abs=1e-4)
    assert "sent as one user message" in first.stdout and "100.0% in a box" in first.stdout
    asked = adder.asked.total()
    measure(tmp_path / "one")
    assert adder.asked.total() == asked, "nothing is asked twice"
    adder.wrong = frozenset({2, 4})
    measure(tmp_path / "two")
    lines = differences(Run.open(tmp_path / "one"), tmp_path / "two")
    assert "aime24: +0.167" in lines[0] and len(lines) == 2
    assert lines[1].strip().startswith("4: 3/3 right, mostly '5' here, 0/3 right, mostly '6' there")
    assert differences(Run.open(tmp_path / "one"), tmp_path / "two" / "evaluate_some-model" / "aime24.parquet") == lines
    assert diagnosis(Run.open(tmp_path / "two"))[0].startswith("sampling: temperature 1")
    with pytest.raises(BadInput, match="no such file"):
        differences(Run.open(tmp_path / "one"), tmp_path / "three")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "name the folder of a run, or an endpoint"),
        (["--url", "http://h/v1", "--benchmarks", "gsm8k"], "also give --model"),
        (["--url", "http://h/v1", "--model", "m", "--out", "o", "--benchmarks", "gsm9k"], "there is no 'gsm9k'"),
        (["--url", "http://h/v1", "--model", "m", "--out", "o"], "--benchmarks: name at least one"),
        (["--url", "h", "--model", "m", "--out", "o", "--benchmarks", "gsm8k"], "write it as https://HOST/v1"),
        (["--url", "http://h/v1", "--model", "m", "--out", "o", "--benchmarks", "gsm8k=nowhere.jsonl"], "nowhere.jsonl"),
    ],
)
def test_bad_input_is_one_line(arguments, says, tmp_path):
    finished = run_cli("evaluate", *arguments, check=False, cwd=tmp_path)
    assert finished.returncode == 2
    assert says in finished.stderr and len(finished.stderr.strip().splitlines()) == 1


def test_samples_are_the_benchmarks_own_unless_they_are_given():
    assert [b["num_samples"] for b in named_benchmarks("gsm8k, aime24")] == [1, 16]
    assert [b["num_samples"] for b in named_benchmarks("gsm8k,aime24", 4)] == [4, 4]
    recipe = endpoint_recipe("http://h/v1", "m", named_benchmarks("gsm8k"), ["evaluate.sampling.temperature=0.6"])
    assert recipe.evaluate.sampling.temperature == 0.6


FILE = {"kind": "file", "path": "/data/train.jsonl"}


@pytest.mark.parametrize(
    ("problems", "benchmarks", "named", "domains"),
    [
        (FILE, [], "gsm8k,aime24", ["out", "out"]),
        ({"kind": "file", "path": "openai/gsm8k:main:train"}, [], "gsm8k,aime24", ["in", "out"]),
        ([FILE, {"kind": "benchmark", "name": "aime24"}], [], "gsm8k,aime24=/data/mine.jsonl", ["out", "in"]),
        (FILE, [], "gsm8k=/data/train.jsonl", ["in"]),
        (FILE, [{"name": "gsm8k", "domain": "in", "problems": FILE}], "gsm8k,aime24", ["in", "out"]),
        (FILE, [{"name": "held", "domain": "in", "problems": {"kind": "benchmark", "name": "aime24"}}], "aime24", ["in"]),
        ({"kind": "file", "path": "openai/gsm8k:main:train"}, [{"name": "gsm8k", "domain": "out", "problems": FILE}],
         "gsm8k", ["out"]),
        ({"kind": "tiny"}, [{"name": "chain", "domain": "in", "problems": {"kind": "tiny"}}], "gsm8k", ["out"]),
    ],
)  # fmt: skip
def test_in_domain_is_what_the_recipe_calls_so_or_trains_on(problems, benchmarks, named, domains):
    asked = {"model": "tiny/student"}
    raw = {"name": "r", "problems": problems, "student": asked, "teacher": asked, "evaluate": {"benchmarks": benchmarks}}
    assert [found["domain"] for found in named_benchmarks(named, recipe=Recipe.model_validate(raw))] == domains


def test_of_an_endpoint_without_a_run_nothing_is_in_domain():
    assert {found["domain"] for found in named_benchmarks("gsm8k,aime24")} == {"out"}


def test_a_run_is_measured_on_named_benchmarks_by_its_own_recipe(rows, tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "report", lambda *_: None)
    monkeypatch.setattr(pipeline, "check_domains", lambda *_: None)
    monkeypatch.setattr(pipeline, "evaluate", lambda *_: [])
    asked = {"model": "tiny/student"}
    raw = {"name": "r", "problems": {"kind": "tiny"}, "student": asked, "teacher": asked, "evaluate": {
        "benchmarks": [{"name": "aime24", "domain": "in", "problems": {"kind": "file", "path": str(rows)}}],
    }}  # fmt: skip
    stage = Run.create(tmp_path / "run", Recipe.model_validate(raw)).stage("checkpoint", [])
    stage.begin()
    stage.seal("examples", 0, Counter(), 0)

    def domains(*overrides):
        named = f"aime25={rows},aime24={rows},amc23={mine}"
        run = pipeline.evaluate_again(tmp_path / "run", benchmarks=named, overrides=list(overrides))
        return {benchmark.name: benchmark.domain for benchmark in run.recipe.evaluate.benchmarks}

    mine = tmp_path / "mine.jsonl"
    mine.write_text('{"id": 1, "question": "What is 1 + 1?", "answer": 2}\n')
    assert domains() == {"aime25": "in", "aime24": "in", "amc23": "out"}, "aime25 is read from what the recipe calls in"
    assert domains("evaluate.benchmarks.2.domain=in") == {"aime25": "in", "aime24": "in", "amc23": "in"}
