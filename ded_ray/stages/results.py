"""The last step: scores.json, and the page that shows everything."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from ded_ray.errors import Stopped
from ded_ray.evaluate.intervals import Bootstrap
from ded_ray.evaluate.scores import compare, score
from ded_ray.files.parts import read_records, write_atomically
from ded_ray.records import Group
from ded_ray.run import Run, Stage


def report(run: Run, evaluations: Sequence[Stage], checkpoint: Stage | None = None) -> None:
    """scores.json, one object per model and benchmark; report.html; and the model's card."""
    made_from = [*([] if checkpoint is None else [checkpoint]), *evaluations]
    stage = run.stage("report", [run.recipe.evaluate.identity()], made_from)
    if stage.done and all((run.folder / name).exists() for name in ("scores.json", "report.html")):
        return
    from ded_ray.report.card import write_card
    from ded_ray.report.page import write_report

    stage.begin()
    scores = _scores(run, evaluations)
    write_atomically(run.folder / "scores.json", json.dumps(scores, indent=1) + "\n")
    write_report(run)
    write_card(run)
    stage.seal("scores", len(scores), Counter(), len(scores))


def _scores(run: Run, evaluations: Sequence[Stage]) -> list[dict[str, Any]]:
    """One object per model and benchmark; the student's also say how far it is from each of the others."""
    bootstrap, scores = Bootstrap(run.recipe.evaluate.bootstrap_resamples, run.recipe.seed), []
    folders = {stage.name.removeprefix("evaluate_"): stage.folder for stage in evaluations}
    for benchmark in run.recipe.evaluate.benchmarks:
        file = f"{benchmark.name}.parquet"
        groups = {model: list(read_records(folder / file, Group)) for model, folder in folders.items()}
        for model, own in groups.items():
            row = {"model": model, "benchmark": benchmark.name, "domain": benchmark.domain, **score(own, bootstrap)}
            if model == "student":
                row["against"] = {other: compare(own, groups[other], bootstrap) for other in groups if other != model}
            scores.append(row)
    return sorted(scores, key=lambda row: list(folders).index(row["model"]))


def check_domains(run: Run) -> None:
    """Raise Stopped if the student has lost more than the recipe allows on a benchmark out of domain. All is saved by then.

    It is the mean difference that counts, as the recipe states it, not its interval.
    """
    most = run.recipe.evaluate.max_out_of_domain_drop
    if most is None:
        return
    for row in run.scores():
        against = (row.get("against") or {}).get("base")
        if row["domain"] == "out" and against and against["difference"] < -most:
            low, high = against["ci95"]
            raise Stopped(
                f"{row['benchmark']}: the student lost {-against['difference']:.3f} out of domain ({low:+.3f} to "
                f"{high:+.3f}), and evaluate.max_out_of_domain_drop is {most:g}; everything is saved"
            )
