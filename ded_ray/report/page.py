"""report.html: a run on one page that works offline and without JavaScript. What models wrote is always escaped."""

from pathlib import Path
from typing import Any, get_args

from jinja2 import Environment, FileSystemLoader

from ded_ray.files.lines import read_lines
from ded_ray.files.parts import write_atomically
from ded_ray.records import Status
from ded_ray.report import charts
from ded_ray.report.beside import planned_beside_actual
from ded_ray.report.corpus import contamination, corpus_of, costs, teacher_choice
from ded_ray.report.terminal import teacher_table
from ded_ray.report.training import curve_of, what_it_took
from ded_ray.run import CLUSTER_FILE, Run


def write_report(run: Run) -> Path:
    """Make `report.html` from what the run's folder holds, also when the run is not finished; returns its path."""
    corpus, choice = corpus_of(run), teacher_choice(run)
    ledger, scores, curve = run.ledger(), run.scores(), curve_of(run)
    page = _environment().get_template("page.html").render(
        recipe=run.recipe,
        recipe_text=(run.folder / "recipe.yaml").read_text(),
        ledger=ledger,
        beside=planned_beside_actual(run),
        statuses=get_args(Status),
        weak_walls=any("limits" in line.get("isolation", {}) for line in ledger),
        scores=sorted(scores, key=lambda row: (row["domain"], row["benchmark"])),
        funnel=charts.funnel(ledger) if ledger else None,
        corpus=corpus,
        rewards=charts.histogram(corpus.rewards, "reward"),
        advantages=charts.histogram(corpus.advantages, "advantage"),
        weights=charts.histogram(corpus.weights, "loss weight, kept"),
        costs=costs(ledger, run.curated),
        hits=contamination(run),
        choice=choice,
        teachers=teacher_table(choice) if choice else [],
        teacher_charts=charts.teachers(choice) if choice else [],
        curve=charts.curve(curve) if curve else None,
        training=what_it_took(curve) if curve else "",
        cluster=charts.cluster(load) if (load := _cluster_load(run)) else None,
        score_chart=charts.scores(scores) if scores else None,
        verdict=verdicts_of(scores),
    )  # fmt: skip
    write_atomically(run.folder / "report.html", page)
    return run.folder / "report.html"


def _cluster_load(run: Run) -> list[dict[str, Any]]:
    """What the cluster had while the run went on; nothing where it was one machine without GPUs all the time."""
    file = run.folder / CLUSTER_FILE
    rows = list(read_lines(file)) if file.exists() else []
    return rows if any(row["nodes"] > 1 or row["gpus"] for row in rows) else []


def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def verdicts_of(scores: list[dict[str, Any]]) -> list[str]:
    """One sentence per benchmark and other model: how far the student is from it, problem by problem."""
    by_model = {(row["model"], row["benchmark"]): row for row in scores}
    sentences = []
    for (model, benchmark), student in by_model.items():
        if model != "student":
            continue
        where = f"{benchmark} ({student['domain']}-domain)"
        for other, found in _comparisons(student, by_model).items():
            if found is None:
                sentences.append(f"{where}: not one sample could be checked that {other} can be compared by.")
                continue
            (low, high), theirs = found["ci95"], by_model[other, benchmark]["pass_at_1"]
            exact = found.get("sign_flip_ci95")
            small = f" (by sign flips {exact[0]:+.3f} to {exact[1]:+.3f})" if exact else ""
            how = {
                "better": f"better than its {other}",
                "worse": f"worse than its {other}",
                "tied": f"tied with its {other}",
            }
            sentences.append(
                f"{where}: student {student['pass_at_1']:.3f}, {other} {theirs:.3f}: {found['difference']:+.3f}, "
                f"paired 95 % interval {low:+.3f} to {high:+.3f}{small}: {how[found['word']]}."
            )
    return sentences


def _comparisons(student: dict[str, Any], by_model: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """Of a student's row; runs of version 0.1 have the interval of its change alone."""
    if "against" in student:
        return dict(student["against"])
    base, interval = by_model.get(("base", student["benchmark"])), student.get("change_ci95")
    if base is None:
        return {}
    if interval is None:
        return {"base": None}
    word = "better" if interval[0] > 0 else "worse" if interval[1] < 0 else "tied"
    return {"base": {"difference": student["pass_at_1"] - base["pass_at_1"], "ci95": interval, "word": word}}
