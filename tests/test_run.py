from collections import Counter
from pathlib import Path

import pytest

from ded_ray.errors import BadInput
from ded_ray.recipe.load import load_recipe
from ded_ray.run import Run

QUICKSTART = Path(__file__).parent.parent / "ded_ray" / "tiny" / "quickstart.yaml"


@pytest.fixture
def run(tmp_path):
    return Run.create(tmp_path / "run", load_recipe(QUICKSTART))


def made(run, name, parts=(1,), inputs=()):
    stage = run.stage(name, parts, inputs)
    if not stage.done:
        stage.begin()
        stage.seal("rows", 3, Counter(bad=1), 2)
    return stage


def test_a_sealed_stage_is_done_until_its_part_of_the_recipe_changes(run):
    made(run, "a")
    assert run.stage("a", [1]).done
    assert not run.stage("a", [2]).done


def test_a_deleted_stage_takes_its_dependants_with_it_and_no_other(run):
    a, other = made(run, "a"), made(run, "other")
    made(run, "b", inputs=[a])
    assert run.stage("b", [1], [run.stage("a", [1])]).done
    (run.folder / "a" / "_manifest.json").unlink()
    a = made(run, "a")
    assert not run.stage("b", [1], [a]).done
    assert run.stage("other", [1]).token == other.token


def test_lost_rows_are_a_crash_and_not_a_result(run):
    stage = run.stage("a", [1])
    stage.begin()
    with pytest.raises(RuntimeError, match="stage a lost rows: 3 in, 1 kept"):
        stage.seal("rows", 3, Counter(bad=1), 1)
    assert not run.stage("a", [1]).done


def test_the_ledger_has_one_line_per_stage(run):
    made(run, "a")
    made(run, "b")
    made(run, "a", parts=(2,))
    assert [line["stage"] for line in run.ledger()] == ["b", "a"]
    assert run.ledger()[1]["dropped"] == {"bad": 1}


def test_a_half_written_manifest_is_no_manifest(run):
    made(run, "a")
    (run.folder / "a" / "_manifest.json").write_text('{"finger')
    assert not run.stage("a", [1]).done


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(BadInput, match="not empty and not a run"):
        Run.create(tmp_path, load_recipe(QUICKSTART))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(BadInput, match="not a run"):
        Run.open(tmp_path)
