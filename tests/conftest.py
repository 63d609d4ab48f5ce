"""What tests share: one Ray per session, one finished quickstart per session, the data that may lie beside the project."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest

PROJECT = Path(__file__).parent.parent
SHARED_DATA = PROJECT.parent / "shared" / "data"
DED_RAY = [sys.executable, "-m", "ded_ray.cli"]

os.environ["RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"] = "0.2"
# A busy machine makes an example slow, not wrong.
hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("busy")

os.environ["RAY_AUTH_MODE"] = "disabled"  # a job submitted by a test must find the session's cluster open


def shared(name: str) -> Path:
    """A file of the development data, or a skip: a user's clone has none of it."""
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip(f"needs the development data {name}, which lies beside the project on its developers' machines")
    return path


@pytest.fixture(scope="session")
def ray_cluster(request: pytest.FixtureRequest) -> Iterator[str]:
    """One local Ray for the whole session; yields its address. It has a dashboard, ten processes that are never quite
    idle, only where the slow tests run: one of them submits a job."""
    import ray

    from ded_ray.runtime.connect import MIN_LOGICAL_CPUS, quieten

    os.environ.pop("RAY_ADDRESS", None)
    os.environ.setdefault("RAY_worker_maximum_startup_concurrency", str(MIN_LOGICAL_CPUS))  # as where a command starts Ray
    submits = request.config.option.markexpr != "not slow"
    own = {
        "address": "local",
        "num_cpus": MIN_LOGICAL_CPUS,
        "include_dashboard": submits,
    }  # whatever else runs or was killed
    context = ray.init(**own, log_to_driver=False, logging_level="ERROR")
    quieten()
    yield context.address_info["address"]
    ray.shutdown()


@pytest.fixture(scope="session")
def training_tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the small training of tests/trainings.py is trained on."""
    from trainings import make_tokens

    return make_tokens(tmp_path_factory.mktemp("tokens"))


@pytest.fixture(scope="session")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, ray_cluster: str, training_tokens: Path
) -> Callable[[object], Path]:
    """The folder of that training under a strategy, made once and never disturbed."""
    from trainings import trained

    @cache
    def folder(strategy: object) -> Path:
        made = tmp_path_factory.mktemp("uninterrupted")
        trained(training_tokens, made, strategy=strategy)
        return made

    return folder


def run_cli(
    *arguments: str | Path, address: str | None = None, check: bool = True, cwd: Path = PROJECT
) -> subprocess.CompletedProcess[str]:
    """`ded-ray ARGUMENTS` as a user runs it, on a Ray that is there already or on its own."""
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | ({"RAY_ADDRESS": address} if address else {})
    finished = subprocess.run(
        [*DED_RAY, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=900, cwd=cwd
    )
    if check and finished.returncode:
        pytest.fail(f"exit code {finished.returncode}\n{finished.stdout}\n{finished.stderr[-3000:]}")
    return finished


SHORT_BENCHMARK = "{{name: {family}, domain: {domain}, problems: {{kind: tiny, family: {family}, num_problems: 6}}}}"
SHORT_FAMILIES = [
    {"family": family, "domain": domain}
    for family, domain in [("chain", "in"), ("reverse", "out"), ("sort", "out"), ("larger", "out")]
]
SHORT = [
    "problems.num_problems=40", "student.sampling.num_rollouts=4", "student.engine.batch_size=4",
    "teacher.sampling.num_rollouts=4", "teacher.engine.batch_size=4", "train.max_steps=6", "train.checkpoint_every_steps=4",
    "evaluate.sampling.num_rollouts=2",
    f"evaluate.benchmarks=[{', '.join(map(SHORT_BENCHMARK.format_map, SHORT_FAMILIES))}]",
]  # fmt: skip
SHORT_COMMAND = ["quickstart", *[part for knob in SHORT for part in ("--set", knob)]]
"""The whole chain on little: its numbers say nothing, its parts are all there."""


@pytest.fixture(scope="session")
def quickstart(tmp_path_factory: pytest.TempPathFactory, ray_cluster: str) -> Path:
    """A finished run of the quickstart on little. (`slow` tests make the whole one.)"""
    folder = tmp_path_factory.mktemp("runs") / "quickstart"
    finished = run_cli(*SHORT_COMMAND, "--out", folder, address=ray_cluster)
    (folder.parent / "output.txt").write_text(finished.stdout + finished.stderr)
    return folder


@pytest.fixture
def copied_quickstart(quickstart: Path, tmp_path: Path) -> Path:
    """A copy of the finished quickstart that a test may damage."""
    return Path(shutil.copytree(quickstart, tmp_path / "run"))


@pytest.fixture(params=["here", "bucket"])
def run_folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a run may be: a folder on disk, and one in a bucket, which the processes of any Ray find."""
    if request.param == "here":
        yield tmp_path / "run"
        return
    from bucket import options, s3_server

    from ded_ray.files.folders import folder_at
    from ded_ray.models.download import S3_OPTIONS

    with s3_server() as url:
        for name, value in options(url).items():
            monkeypatch.setitem(S3_OPTIONS, name, value)
        yield folder_at("s3://bucket/run")
