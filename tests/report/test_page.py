"""The page over runs that are not as they should be: hostile texts, nothing checked, nothing done yet."""

import json
from pathlib import Path

from ded_ray.evaluate.scores import score
from ded_ray.recipe_file import load_recipe
from ded_ray.records import Group, Problem, Rollout, to_table, write_part
from ded_ray.report.page import write_report
from ded_ray.report.terminal import show_run
from ded_ray.run import Run

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


def test_nothing_checked_is_said_and_not_drawn(tmp_path):
    run = Run.create(tmp_path / "run", load_recipe(QUICKSTART))
    rows = [score(model, "code", "in", [group("unverifiable")], 10, 0) for model in ("base", "student")]
    (run.folder / "scores.json").write_text(json.dumps(rows))
    assert "not one sample could be checked" in write_report(run).read_text()
    show_run(run)
