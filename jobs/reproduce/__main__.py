"""Runs what is missing, and says what came out: results.json, table.md, figure.png in --out."""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

from jobs.reproduce.experiments import EXPERIMENTS, steps_of
from jobs.reproduce.world import FULL, QUICK, STUDENT, TEACHERS, World, same_world


def main() -> None:
    parser = argparse.ArgumentParser(description="The papers' claims in the tiny world, with the controls they lack.")
    parser.add_argument("--quick", action="store_true", help="minutes instead of hours: to see that all of it works")
    parser.add_argument("--out", type=Path, required=True, help="a folder; the same command goes on from what it holds")
    arguments = parser.parse_args()
    size = QUICK if arguments.quick else FULL
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        same_world(arguments.out, size)
    except ValueError as error:
        sys.exit(f"jobs.reproduce: {error}")
    worlds = [World(arguments.out.absolute(), seed, size) for seed in range(size.seeds)]
    started = time.time()
    from ded_ray.machine import start_ray

    start_ray(num_cpus=2)
    all_done([("answer", world, model, None, None) for world in worlds for model in TEACHERS], started)
    students = []
    for world in worlds:
        corpora = {name: examples for make in EXPERIMENTS.values() for name, examples in make(world, encode()).items()}
        for name, examples in {"base": [], **corpora}.items():
            students.append(("learn", world, name, examples, steps_of(name, world)))
    all_done(students, started)
    report(worlds, arguments.out)


def encode() -> Any:
    from transformers import AutoTokenizer

    from ded_ray.tiny.models import model_path

    tokenizer = AutoTokenizer.from_pretrained(model_path(STUDENT))
    return lambda text: tokenizer.encode(text, add_special_tokens=False)


def do(kind: str, world: World, name: str, examples: Any, max_steps: int | None) -> None:
    """One piece of work, in a process of its own."""
    if kind == "answer":
        world.answer_all(name)
        return
    from jobs.reproduce.learn import run

    if not examples and name != "base":
        raise ValueError(f"{name}: nothing to learn from")
    run(name, examples, world, max_steps)


def all_done(work: list[tuple[Any, ...]], started: float) -> None:
    """As many at once as there are cores; says how far it is now and then."""
    import ray

    # As many as Ray has CPUs for: its local form has more tickets than this machine has cores.
    tickets = ray.cluster_resources()["CPU"] / 2
    pending, last = [ray.remote(num_cpus=tickets)(do).remote(*each) for each in work], 0.0
    while pending:
        done, pending = ray.wait(pending, timeout=10)
        ray.get(done)
        if time.time() - last > 30 or not pending:
            last = time.time()
            print(f"{work[0][0]}: {len(work) - len(pending)} of {len(work)} after {last - started:.0f} s", flush=True)


def report(worlds: list[World], out: Path) -> None:
    from jobs.reproduce.tables import Results, compared, markdown, smoke, tokens_to_reach

    results = Results(worlds)
    reached = tokens_to_reach(results)
    found = {"i": smoke(results), **compared(results), "tokens_to_reach": reached, "seeds": len(worlds)}
    (out / "results.json").write_text(json.dumps(found, indent=1))
    (out / "table.md").write_text(markdown(found))
    figure(found, out / "figure.png")
    print(markdown(found))
    print(json.dumps({"median_token_ratio": reached["median"], "out": str(out)}))


def figure(found: dict[str, Any], path: Path) -> None:
    """Score against teacher tokens, and against the size of the corpus, in- and out-of-domain."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawing, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for kind in ("naive", "ours"):
        rows = [row for row in found["vi"] if row["name"].startswith(kind)]
        left.plot([row["teacher_tokens"] for row in rows], [row["in"] for row in rows], marker="o", label=kind)
    left.set(xscale="log", xlabel="teacher tokens", ylabel="in-domain pass@1", title="(vi) tokens to a score")
    for key, label in (("in", "in-domain"), ("out", "out-of-domain")):
        rows = found["iv"]
        right.plot([row["examples"] for row in rows], [row[key] for row in rows], marker="o", label=label)
    right.set(xlabel="examples", ylabel="pass@1", title="(iv) corpus size")
    for axes in (left, right):
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
