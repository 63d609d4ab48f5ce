"""What goes to Weights & Biases, without a network: wandb's own offline mode."""

import json
import sys
from pathlib import Path

import pytest
import torch
from gang import gang

from ded_ray.errors import BadInput
from ded_ray.recipe import Train, Wandb
from ded_ray.train.history import History
from ded_ray.train.step import Place
from ded_ray.train.weights_and_biases import KEY, PACKAGE, check_wandb, end_wandb, start_wandb
from ded_ray.train.worker import _wandb_run

SECRET = "0123456789abcdef" * 2 + "01234567"


def test_a_missing_package_is_one_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(BadInput) as error:
        check_wandb(Wandb(project="p"))
    assert str(error.value) == PACKAGE
    check_wandb(None)


def begun(rank: int, folder: Path) -> str:
    """What a worker is told when the first one cannot begin a run."""
    sys.modules["wandb"] = None
    place = Place(Train(wandb=Wandb(project="p")), rank, 2, torch.device("cpu"), pad_id=0)
    try:
        _wandb_run({"folder": folder, "name": "4f2a"}, folder if rank == 0 else None, place)
    except BadInput as error:
        return str(error)
    return "begun"


def test_all_workers_end_when_the_first_cannot_begin(tmp_path):
    first, second = gang(begun, tmp_path)
    assert first == PACKAGE
    assert second not in {"begun", PACKAGE}, "it ends too, and has no words for it"


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """wandb as on a machine where nobody has logged in."""
    wandb = pytest.importorskip("wandb")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    wandb.teardown()
    yield wandb
    wandb.teardown()


def test_a_missing_key_is_one_line_and_offline_needs_none(wandb, monkeypatch):
    with pytest.raises(BadInput) as error:
        check_wandb(Wandb(project="p"))
    assert str(error.value) == KEY
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "offline")
    check_wandb(Wandb(project="p"))


def test_a_key_is_found_and_not_shown(wandb, monkeypatch, capfd):
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    check_wandb(Wandb(project="p"))
    assert SECRET not in "".join(capfd.readouterr())


def records(folder: Path) -> list:
    """Every record of all offline runs, in their order. Their files are LevelDB's logs, here of a single block."""
    from wandb.proto import wandb_internal_pb2

    found = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        data, start = file.read_bytes(), 7
        while start < len(data):
            length = int.from_bytes(data[start + 4 : start + 6], "little")
            found.append(wandb_internal_pb2.Record.FromString(data[start + 7 : start + 7 + length]))
            start += 7 + length
    return found


def test_every_step_is_logged_once_and_a_restart_goes_on_with_the_same_run(wandb, monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    curve = []
    for steps in ([1, 2], [3]):
        run = start_wandb(
            Wandb(project="p"), name="mine/checkpoint", run_id="4f2a", folder=tmp_path, knobs=Train().model_dump(mode="json")
        )
        history = History(tmp_path, curve, here=tmp_path, wandb=run)
        for step in steps:
            curve.append({"step": step, "loss": 1 / step})
            history.measured(held_out_loss=2 / step)
        end_wandb(run)
    found = records(tmp_path)
    assert {
        (record.run.run_id, record.run.project, record.run.display_name) for record in found if record.HasField("run")
    } == {("4f2a", "p", "mine/checkpoint")}
    rows = [record.history for record in found if record.HasField("history")]
    logged = [{item.key or item.nested_key[0]: json.loads(item.value_json) for item in row.item} for row in rows]
    assert [(row["_step"], row["train/held_out_loss"]) for row in logged] == [(1, 2.0), (2, 1.0), (3, 2 / 3)]
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert not any(SECRET.encode() in file.read_bytes() for file in files)
