"""Runs what is missing, and says what came out: results.json, table.md, figure.png in --out."""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jobs.reproduce.world import FULL, QUICK, STUDENT, TEACHERS, World, remember, same_world


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
    from ded_ray.runtime.connect import start_ray

    start_ray(num_cpus=2)
    all_done("answers", World.answer_all, [(world, model) for world in worlds for model in TEACHERS], started)
    all_done("students", taught, [(world, one) for world in worlds for one in lessons_of(world)], started)
    report(worlds, arguments.out)


def lessons_of(world: World) -> list[Any]:
    """The world's lessons, each once; which names they go by is written down."""
    from transformers import AutoTokenizer

    from ded_ray.models.load import model_path
    from jobs.reproduce.experiments import lessons

    tokenizer = AutoTokenizer.from_pretrained(model_path(STUDENT))
    made = lessons(world, lambda text: tokenizer.encode(text, add_special_tokens=False))
    keys = {name: one.key(world.seed) for name, one in made.items()}
    remember(world.names_file, keys)
    return list({keys[name]: one for name, one in made.items()}.values())


def taught(world: World, lesson: Any) -> None:
    from jobs.reproduce.learn import teach  # torch stays out of the driver

    teach(lesson, world)


def all_done(what: str, work: Callable[..., None], each: Sequence[tuple[Any, ...]], started: float) -> None:
    """As many at once as there are cores, in processes of their own; says how far it is now and then."""
    import ray

    tickets = ray.cluster_resources()["CPU"] / (os.cpu_count() or 1)  # a local Ray has more of them than the machine cores
    pending, last = [ray.remote(num_cpus=tickets)(work).remote(*arguments) for arguments in each], 0.0
    while pending:
        done, pending = ray.wait(pending, timeout=10)
        ray.get(done)
        if time.time() - last > 30 or not pending:
            last = time.time()
            print(f"{what}: {len(each) - len(pending)} of {len(each)} after {last - started:.0f} s", flush=True)


def report(worlds: list[World], out: Path) -> None:
    from jobs.reproduce.tables import BUDGETS, Results, compared, markdown, smoke, tokens_to_reach

    results = Results(worlds)
    reached = {kind: tokens_to_reach(results, kind) for kind in BUDGETS if kind != "naive"}
    found = {"i": smoke(results), **compared(results), "tokens_to_reach": reached, "seeds": len(worlds)}
    (out / "results.json").write_text(json.dumps(found, indent=1))
    (out / "table.md").write_text(markdown(found))
    figure(found, out / "figure.png")
    print(markdown(found))
    medians = {kind: of["median"] for kind, of in reached.items()}
    print(json.dumps({"median_token_ratio": medians, "out": str(out)}))


def figure(found: dict[str, Any], path: Path) -> None:
    """Score against teacher tokens, and against the size of the corpus, in- and out-of-domain. Bars: the paired 95 %
    interval of the difference to the student before."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from jobs.reproduce.tables import BUDGETS

    drawing, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8))

    def draw(axes: Any, rows: list[dict[str, Any]], across: str, key: str, label: str) -> None:
        mean, low, high = zip(*[row[f"{key}_change"] for row in rows], strict=True)
        below, above = ([abs(m - end) for m, end in zip(mean, ends, strict=True)] for ends in (low, high))
        heights = [row[key] for row in rows]
        axes.errorbar([row[across] for row in rows], heights, yerr=[below, above], marker="o", capsize=3, label=label)

    for kind, label in BUDGETS.items():
        rows = [row for row in found["vi"] if row["name"].rsplit("-", 1)[0] == kind]
        draw(left, rows, "teacher_tokens", "in", label)
    left.set(xscale="log", xlabel="teacher tokens", ylabel="in-domain pass@1", title="(vi) tokens to a score")
    for key, label in (("in", "in-domain"), ("out", "out-of-domain")):
        draw(right, found["base"] + found["iv"], "examples", key, label)
    right.set(xlabel="examples", ylabel="pass@1", title="(iv) corpus size")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
        axes.spines[["top", "right"]].set_visible(False)
    drawing.tight_layout()
    drawing.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
