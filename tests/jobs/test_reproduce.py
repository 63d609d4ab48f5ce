"""The reproduction over made answers and made scores; its quick form as a whole is a slow test."""

import json
import random
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import PROJECT

from ded_ray.records import Example, Group, Problem, Rollout, to_table
from ded_ray.tiny.styles import STYLES
from jobs.reproduce.__main__ import lessons_of, report
from jobs.reproduce.experiments import TEACHER, Lesson, adaptive, first, hard
from jobs.reproduce.learn import teach
from jobs.reproduce.tables import Results, interval, reach, tokens_to_reach
from jobs.reproduce.world import QUICK, STUDENT, TEACHERS, Size, World, remember, same_world


def group(statuses):
    rollouts = [
        Rollout(index=i, completion=str(i), num_tokens=10, finish_reason="stop", seed=i,
                status="correct" if letter == "c" else "wrong")
        for i, letter in enumerate(statuses)
    ]  # fmt: skip
    return Group.of(Problem(problem_id="p", prompt="q", answer="a"), "g", "m", rollouts)


@pytest.mark.parametrize(
    ("statuses", "asked"), [("cccccccc", 2), ("wwcccccc", 2), ("cwcccccc", 8), ("ccwwcccc", 2), ("c", 1)]
)
def test_a_group_is_asked_until_it_is_settled(statuses, asked):
    [found] = adaptive([group(statuses)])
    assert len(found.rollouts) == asked
    assert [len(g.rollouts) for g in first([group(statuses)], 3)] == [min(3, len(statuses))]


def test_tokens_at_which_a_score_is_first_reached():
    curve = [(100, 0.2), (200, 0.4), (400, 0.4), (800, 0.6)]
    assert reach(curve, 0.1) == 100
    assert reach(curve, 0.3) == pytest.approx(150)
    assert reach(curve, 0.5) == pytest.approx(600)
    assert reach(curve, 0.7) == float("inf")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """Two seeds' worlds with answers in every candidate's style, of the teachers a quarter wrong."""
    made = [World(tmp_path_factory.mktemp("world"), seed, QUICK) for seed in range(2)]
    for world in made:
        rng = random.Random(world.seed)
        for model in TEACHERS:
            often = 0.3 if model == STUDENT else 0.75
            style = STYLES["careful" if model == STUDENT else model.rsplit("/", 1)[-1]]
            groups = [
                Group.of(problem, problem.problem_id, model, [
                    Rollout(index=i, completion=style(problem.prompt, 0.1, rng), num_tokens=50, finish_reason="stop", seed=i,
                            status="correct" if (right := rng.random() < often) else "wrong", reward=float(right),
                            surprisal=rng.random() + 0.1, rsr=3 + rng.random())
                    for i in range(8)
                ])
                for problem in world.questions
            ]  # fmt: skip
            pq.write_table(to_table(groups, Group), world.answers_file(model))
    return made


def test_what_is_compared_differs_in_one_thing(worlds):
    [world, _] = worlds
    made = {lesson.key(world.seed): lesson for lesson in lessons_of(world)}
    names = {name: made[key] for name, key in json.loads(world.names_file.read_text()).items()}
    assert len(made) < len(names), "what is the same is trained once"
    assert names["trajectories-4"] is names["right-hard-random"]
    assert not names["base"].examples
    for n in (6, 12, 24, 48):
        naive, ours = names[f"naive-{n}"], names[f"ours-{n}"]
        assert len(naive.examples) == n * 8
        assert len(ours.examples) < len(naive.examples)
        assert naive.num_steps == QUICK.epochs * n * 8 // 16
        assert ours.num_steps == QUICK.epochs * -(-len(ours.examples) // 16)
        assert names[f"ours-long-{n}"].examples == ours.examples
        assert names[f"ours-long-{n}"].num_steps == naive.num_steps
    assert len({names[f"smoke-{model}"].num_steps for model in ("careful", "terse", "rambling", "student")}) == 1
    assert len({len(names[f"right-hard-{rule}"].examples) for rule in ("farthest", "random", "lowest_rsr")}) == 1
    long = names["right-hard-long"]
    assert long.examples == names["trajectories-1"].examples
    assert long.num_steps == names["right-hard-random"].num_steps > names["trajectories-1"].num_steps
    right = {(e.problem_id, e.index) for e in names["right"].examples}
    assert {(e.problem_id, e.index) for e in names["right-hard"].examples} < right
    assert right < {(e.problem_id, e.index) for e in names["one-each"].examples}
    assert {e.problem_id for e in names["all-softmax"].examples} == {p.problem_id for p in world.questions}
    assert all(e.weight == 1 for e in names["all-unweighted"].examples)
    assert len({e.weight for e in names["all-softmax"].examples}) > 4


def scored(world, rate_of):
    """Scores of all students, as if they had been trained; `rate_of` says by name how often they are right."""
    lessons_of(world)
    rng = np.random.default_rng(world.seed)
    for name, key in json.loads(world.names_file.read_text()).items():
        rates = {family: rng.binomial(1, rate_of(name), 60).tolist() for family in ("chain", "reverse", "sort", "larger")}
        remember(world.scores_file(key), {"num_examples": 1, "num_steps": 7, "rates": rates})


@pytest.mark.slow
def test_what_came_out_is_a_table_and_a_figure(worlds, tmp_path, capsys):
    for world in worlds:
        scored(world, lambda name: 0.4 if name in {"base", "truth-terse"} else 0.8)
    report(worlds, tmp_path)
    table = (tmp_path / "table.md").read_text()
    assert "| +Right-Hard-Diverse (farthest 4) |" in table
    terse = next(line for line in table.splitlines() if line.startswith("| terse"))
    assert "| -0.4" in terse, "its distance to the best one"
    found = json.loads((tmp_path / "results.json").read_text())
    by_name = {row["name"]: row for row in found["ii"]}
    mean, low, high = by_name["all-softmax"]["in_change"]
    assert low < 0 < high
    assert low < mean < high
    assert (tmp_path / "figure.png").stat().st_size > 10_000
    assert "median_token_ratio" in json.loads(capsys.readouterr().out.splitlines()[-1])


def test_tokens_to_an_equal_score_over_those_of_the_naive_pipeline(worlds):
    for world in worlds:
        scored(world, lambda name: 0.1 if name.startswith("ours") else 0.9)
    found = tokens_to_reach(Results(worlds))
    assert found["median"] is None, "never reached"
    assert found["by_questions"]["48"] == {"ratio": None, "ci95": [None, None]}
    for world in worlds:
        scored(world, lambda name: 0.99 if name.startswith("ours") else 0.3)
    found = tokens_to_reach(Results(worlds))
    ours_on_six = np.mean([sum(len(g.rollouts) * 50 for g in adaptive(hard(world.answers(TEACHER)[:6], world)))
                           for world in worlds])  # fmt: skip
    assert found["by_questions"]["48"]["ratio"] == pytest.approx(ours_on_six / (48 * 8 * 50), abs=1e-3)
    assert found["by_questions"]["48"]["ci95"][0] <= found["by_questions"]["48"]["ratio"]


def test_one_lucky_student_on_the_way_saves_no_tokens(worlds):
    for world in worlds:
        scored(world, lambda name: 0.95 if name == "ours-6" else 0.3 if name.startswith("ours") else 0.8)
    assert tokens_to_reach(Results(worlds))["median"] is None


def test_a_student_is_taught_and_measured_once(tmp_path):
    world = World(tmp_path, 0, Size(seeds=1, questions=4, held_out=4, out_of_domain=2, samples=1, epochs=1))
    [problem, *_] = world.questions
    text = STYLES["careful"](problem.prompt, 0.0, random.Random(0))
    example = Example(problem_id=problem.problem_id, group_id="g", index=0, prompt=problem.prompt, completion=text,
                      reward=1.0, advantage=0.0, weight=1.0)  # fmt: skip
    lesson = Lesson([example], num_steps=3)
    teach(lesson, world)
    file = world.scores_file(lesson.key(0))
    written, found = file.stat().st_mtime_ns, json.loads(file.read_text())
    assert {name: len(rates) for name, rates in found["rates"].items()} == {"chain": 4, "reverse": 2, "sort": 2, "larger": 2}
    assert (found["num_examples"], found["num_steps"]) == (1, 3)
    teach(lesson, world)
    assert file.stat().st_mtime_ns == written
    assert Lesson([example], num_steps=4).key(0) != lesson.key(0) != lesson.key(1)


def test_an_interval_counts_seeds_and_problems():
    rng = np.random.default_rng(0)
    agreeing = [rng.normal(0.1, 0.1, 200) for _ in range(3)]
    _, low, high = interval(agreeing)
    assert low < 0.1 < high
    assert high - low < 0.05
    disagreeing = [rng.normal(shift, 0.1, 200) for shift in (-0.3, 0.1, 0.5)]
    assert interval(disagreeing)[2] - interval(disagreeing)[1] > 0.3


def test_worlds_are_apart_and_nothing_held_out_is_asked(tmp_path):
    one, other = World(tmp_path, 0, QUICK), World(tmp_path, 1, QUICK)
    asked = {problem.prompt for problem in one.questions}
    assert len(asked) == QUICK.questions
    assert not asked & {problem.prompt for problem in one.held_out()["chain"]}
    assert asked != {problem.prompt for problem in other.questions}
    same_world(tmp_path, QUICK)
    same_world(tmp_path, QUICK)
    with pytest.raises(ValueError, match="another size"):
        same_world(tmp_path, Size(1, 1, 1, 1, 1, 1))


@pytest.mark.slow
def test_the_quick_form(tmp_path):
    command = [sys.executable, "-m", "jobs.reproduce", "--quick", "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800, cwd=PROJECT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "median_token_ratio" in json.loads(done.stdout.splitlines()[-1])
    table = (tmp_path / "out" / "table.md").read_text()
    assert "+Right-Hard-Diverse" in table
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
