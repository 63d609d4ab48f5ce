"""What the quickstart and `ded-ray --help` take in time and memory: `python -m jobs.bench.quickstart`."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ded_ray.runtime.memory import peak_memory

DED_RAY = [sys.executable, "-m", "ded_ray.cli"]


def seconds_of(*arguments: str) -> float:
    started = time.monotonic()
    subprocess.run([*DED_RAY, *arguments], check=True, stdout=sys.stderr)
    return time.monotonic() - started


def main() -> None:
    help_seconds = min(seconds_of("--help") for _ in range(5))
    with tempfile.TemporaryDirectory() as folder, peak_memory() as memory:
        out = Path(folder) / "run"
        quickstart_seconds = seconds_of("quickstart", "--out", str(out))
        again_seconds = seconds_of("quickstart", "--out", str(out))
        scores = json.loads((out / "scores.json").read_text())
        evaluation_seconds = json.loads((out / "spent.json").read_text())["evaluate"]["seconds"]
    chain = {row["model"]: row for row in scores if row["benchmark"] == "chain"}
    result = {
        "quickstart_seconds": round(quickstart_seconds, 1),
        "evaluation_share": round(evaluation_seconds / quickstart_seconds, 3),
        "again_seconds": round(again_seconds, 1),
        "help_seconds": round(help_seconds, 3),
        "peak_memory_gb": round(memory.peak_bytes / 1e9, 2),
        "base": chain["base"]["pass_at_1"],
        "student": chain["student"]["pass_at_1"],
        "intervals_apart": chain["student"]["ci95_low"] > chain["base"]["ci95_high"],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
