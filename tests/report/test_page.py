"""The page over runs that are not as they should be: hostile texts, nothing checked, nothing done yet."""

import json
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from ded_ray.curate.quality import RULES
from ded_ray.errors import BadInput
from ded_ray.evaluate.intervals import Bootstrap
from ded_ray.evaluate.scores import score
from ded_ray.files.parts import write_part
from ded_ray.recipe.load import load_recipe
from ded_ray.records import Group, Problem, Rollout, to_table
from ded_ray.report import charts
from ded_ray.report.corpus import corpus_of, costs, spread, teacher_choice
from ded_ray.report.explain import REASONS, describe, history_of
from ded_ray.report.page import write_report
from ded_ray.report.samples import show_samples
from ded_ray.report.terminal import cell, show_history, show_run
from ded_ray.report.training import what_it_took
from ded_ray.run import Run

CURATE = Path(__file__).parents[2] / "ded_ray" / "curate"
QUICKSTART = Path(__file__).parents[2] / "ded_ray" / "tiny" / "quickstart.yaml"
HOSTILE = "</pre><script>alert(1)</script><img src=x onerror=alert(2)>"


def group(status: str) -> Group:
    rollout = Rollout(
        index=0, completion=HOSTILE, num_tokens=1, finish_reason="stop", seed=0, status=status, extracted=HOSTILE
    )
    return Group.of(Problem(problem_id="p", prompt=HOSTILE, answer=HOSTILE), "g", "m", [rollout])


def test_what_models_wrote_stays_text(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    (run.folder / "curated").mkdir()
    write_part(run.folder / "curated", to_table([group("wrong")], Group))
    page = write_report(run).read_text()
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("&lt;script&gt;alert(1)") >= 3


def test_a_run_that_has_only_begun_has_a_page(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    assert "Not trained yet" in write_report(run).read_text()
    show_run(run)


def test_a_training_is_drawn_and_said_in_a_sentence(tmp_path, capsys):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    (run.folder / "checkpoint").mkdir()
    point = {"loss": 1.0, "num_tokens": 300, "tokens_per_second": 100.0, "padding": 0.0, "mfu": 0.4}
    curve = [{"step": 1, **point}, {"step": 2, **point, "num_tokens": 100, "padding": 0.5, "mfu": 0.2}]
    (run.folder / "checkpoint" / "curve.jsonl").write_text("".join(json.dumps(each) + "\n" for each in curve))
    sentence = "2 steps, 400 tokens, 100 tokens a second, padding 20.0%, MFU 35.0%"
    assert sentence in write_report(run).read_text()
    show_run(run)
    assert sentence in capsys.readouterr().out
    assert what_it_took([{"step": 1, "loss": 1.0}] * 2) == "2 steps"
    measured = [{"step": step, "loss": 1.0, "held_out_pass_rate": rate} for step, rate in ((2, 0.5), (4, 0.75), (6, 0.75))]
    assert what_it_took(measured) == "3 steps, best pass rate on held-out questions 0.750 after step 4"
    assert "svg" in charts.curve(measured)


def test_nothing_checked_is_said_and_not_drawn(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    unchecked = score([group("unverifiable")], Bootstrap(10, 0))
    rows = [{"model": model, "benchmark": "code", "domain": "in", **unchecked} for model in ("base", "student")]
    (run.folder / "scores.json").write_text(json.dumps(rows))
    assert "not one sample could be checked" in write_report(run).read_text()
    show_run(run)


def answers(*completions: str, kept: int = 2) -> Group:
    rollouts = [
        Rollout(index=i, completion=text, num_tokens=5, finish_reason="stop", seed=i, status="correct", reward=1.0,
                advantage=0.5, weight=1.0, pick_rank=i if i < kept else None,
                dropped_because=None if i < kept else "not_picked")
        for i, text in enumerate(completions)
    ]  # fmt: skip
    return Group.of(Problem(problem_id="p", prompt="q", answer="a"), "00ff", "m", rollouts)


def test_how_far_answers_are_apart_before_and_after_is_shown(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    (run.folder / "curated").mkdir()
    write_part(run.folder / "curated", to_table([answers("a b c d", "e f g h", "a b c d")], Group))
    assert spread([[["a", "b"], ["a", "c"]], [["x"]], []]) == 0.5
    found = corpus_of(run)
    assert (found.spread_before, found.spread_after) == (pytest.approx(2 / 3), 1.0)
    assert found.weights.tolist() == [1.0, 1.0]
    assert found.advantages.tolist() == [0.5] * 3
    assert "differ in 67 % of the longer one's words, two that were kept in 100 %" in write_report(run).read_text()


CHOICE = {
    "winner": 1, "rule": "highest", "entropy_of": "tiny/student", "disagreement": "RSR disagrees.",
    "rows": [
        {"model": "<b>a</b>", "student_score": 0.5, "own_score": 0.9, "rsr": 3.0, "mean_surprisal": 1.0,
         "differences_ci95": [None, [-0.3, -0.1]], "usd_per_verified": None},
        {"model": "b", "student_score": 0.7, "own_score": 0.8, "rsr": 4.0, "mean_surprisal": 0.5,
         "differences_ci95": [[0.1, 0.3], None]},
    ],
}  # fmt: skip


def test_the_choice_of_a_teacher_is_a_table_and_three_plots(tmp_path):
    recipe = load_recipe(QUICKSTART)
    [generator] = recipe.teachers.candidates
    candidates = tuple(generator.model_copy(update={"model": row["model"]}) for row in CHOICE["rows"])
    compared = recipe.teachers.model_copy(update={"candidates": candidates})
    run = Run.create(tmp_path / "run", recipe.model_copy(update={"teachers": compared}))
    (run.folder / "teachers.json").write_text(json.dumps(CHOICE))
    page = write_report(run).read_text()
    assert '<th class="n">b (chosen)</th>' in page
    assert "-0.300 to -0.100" in page
    assert "minus b&#39;s" in page
    assert "&lt;b&gt;a" in page
    assert "USD per verified answer" not in page, "nothing is known of it"
    assert "RSR disagrees." in page
    assert page.count("<svg") == 3 + 3


def test_what_a_benchmark_gave_away_is_listed(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    (run.folder / "problems").mkdir()
    hit = {"problem_id": "p7", "benchmark": "held", "benchmark_problem_id": "h1", "match": HOSTILE}
    (run.folder / "problems" / "_contamination.jsonl").write_text(json.dumps(hit) + "\n")
    page = write_report(run).read_text()
    assert "1 questions were dropped because of a benchmark" in page
    assert "p7" in page
    assert "<script" not in page


def test_a_rollout_is_explained_from_its_question_to_its_weight(tmp_path, capsys):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    (run.folder / "curated").mkdir()
    write_part(run.folder / "curated", to_table([answers("a b c d", "e f g h [bold]", "a b c")], Group))
    lines = dict(describe(history_of(run, "00ff/1")))
    assert lines["picked"] == "as number 2 of its group"
    assert lines["weight"] == "1 of its loss"
    assert "to 0" in lines["distances"]
    assert "dropped" not in lines
    assert dict(describe(history_of(run, "00ff/2")))["dropped"] == "not_picked: others of its group were picked"
    show_history("00ff/1", list(lines.items()))
    assert "[bold]" in capsys.readouterr().out, "what models wrote is no markup"
    for name, says in (("00ff", "named GROUP_ID/INDEX"), ("beef/0", "has no group beef"), ("00ff/9", "rollouts 0 to 2")):
        with pytest.raises(BadInput, match=says):
            history_of(run, name)


def test_right_and_wrong_stand_side_by_side(tmp_path, capsys):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    stage = run.stage("curated", [])
    stage.begin()
    mixed = answers("right [red]", "other", kept=1)
    mixed.answer = "[/b] [1, 2]"
    mixed.rollouts[1].status, mixed.rollouts[1].dropped_because = "wrong", "wrong"
    write_part(stage.folder, to_table([mixed], Group))
    stage.seal("rollouts", 2, Counter(wrong=1), 1)
    show_samples(run, 1)
    shown = capsys.readouterr().out
    assert "[red]" in shown
    assert "reference [/b] [1, 2]" in shown
    assert "<|end|>" in shown
    assert "00ff/0" in shown
    assert "dropped: wrong" in shown


def test_every_reason_to_drop_has_a_sentence():
    rules = {rule.NAME for rule in RULES}
    code = "".join(path.read_text() for path in CURATE.rglob("*.py"))
    written = set(re.findall(r'(?:dropped_because =|return) "([a-z_]+)"', code))
    assert rules | written <= REASONS.keys()
    assert {"near_duplicate", "student_pass_rate", "no_weight"} <= written


def test_a_folder_that_an_earlier_recipe_left_is_not_shown(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    for stage, kept in (("mixed", 0), ("curated", 2)):
        (run.folder / stage).mkdir()
        write_part(run.folder / stage, to_table([answers("a b", "c d", kept=kept)], Group))
    (run.folder / "teachers.json").write_text(json.dumps(CHOICE))
    assert corpus_of(run).weights.tolist() == [1.0, 1.0]
    assert dict(describe(history_of(run, "00ff/0")))["weight"] == "1 of its loss"
    assert teacher_choice(run) is None, "its candidates are others"
    run.write_ledger_line({"stage": "mixed"})
    run.forget("mixed")
    assert run.ledger() == []
    assert not (run.folder / "mixed").exists()


def test_why_a_question_went_to_no_teacher_is_explained(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    for stage in ("student_verdicts", "questions"):
        (run.folder / stage).mkdir()
    write_part(run.folder / "student_verdicts", to_table([answers("a", "b", kept=0)], Group))
    problem = Problem(problem_id="p", prompt="q", answer="a", student_pass_rate=1.0, dropped_because="student_pass_rate")
    pq.write_table(to_table([problem], Problem), run.folder / "questions" / "problems.parquet")
    lines = dict(describe(history_of(run, "00ff/0")))
    assert lines["question dropped"].startswith("student_pass_rate: the student answers it often enough already")


def test_costs_that_nobody_counted_are_unknown():
    ledger = [
        {"stage": "teacher_rollouts", "num_tokens": 0, "seconds": 8.0},
        {"stage": "curated", "effective_examples": 900.0},
        {"stage": "mixed", "effective_examples": 9.5},
        {"stage": "checkpoint", "rows_kept": 10},
    ]
    first, *others = costs(ledger, "mixed")
    assert first == "teacher tokens for each of 10 trained examples: unknown; seconds of answering: 0.80"
    assert others == ["their weights are worth 10 equal ones (effective sample size)"]
    assert costs([ledger[0] | {"num_tokens": 1000}, ledger[3]], "curated")[0].startswith("teacher tokens for each of 10 "
                                                                                       "trained examples: 100;")  # fmt: skip
    assert [cell(value) for value in (None, 0.0, 0.00041, 0.5, 1543.21)] == ["-", "0.000", "0.00041", "0.500", "1543.2"]
