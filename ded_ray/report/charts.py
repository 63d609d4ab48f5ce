"""The report's figures as inline SVG: no script, no file beside the page."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from markupsafe import Markup

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#3b6fb6", "#d9822b", "#9aa3ad"
MODEL_COLOURS = {"base": GREY, "student": BLUE, "teacher": ORANGE}


def _svg(figure: Figure) -> Markup:
    text = io.StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    return Markup(text.getvalue()[text.getvalue().index("<svg") :])  # noqa: S704  our own drawing: texts are paths in it


def _axes(width: float = 5.2, height: float = 2.6) -> tuple[Figure, Any]:
    figure, axes = plt.subplots(figsize=(width, height))
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def funnel(ledger: Sequence[dict[str, Any]]) -> Markup:
    """Kept and dropped rows of every stage, each bar in its stage's own unit, as a share of the rows that came in."""
    figure, axes = _axes(7, 0.42 * len(ledger) + 0.6)
    for y, line in enumerate(reversed(ledger)):
        share = line["rows_kept"] / line["rows_in"] if line["rows_in"] else 0
        axes.barh(y, share, color=BLUE)
        axes.barh(y, 1 - share, left=share, color="#e4e8ec")
        axes.text(1.02, y, f"{line['rows_kept']} of {line['rows_in']} {line['unit']}", va="center", fontsize=9)
    axes.set_yticks(range(len(ledger)), [line["stage"] for line in reversed(ledger)], fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.spines[["bottom"]].set_visible(False)
    return _svg(figure)


def histogram(values: np.ndarray, label: str, bins: int = 24) -> Markup:
    figure, axes = _axes(3.2)
    if len(values):
        axes.hist(values, bins=bins, color=BLUE)
    else:
        axes.text(0.5, 0.5, "none", ha="center", transform=axes.transAxes)
    axes.set_xlabel(label)
    axes.set_ylabel("rollouts")
    return _svg(figure)


def curve(points: Sequence[dict[str, float]]) -> Markup:
    """Weighted token loss per optimiser step; loss and pass rate on held-out questions where they were measured."""
    figure, axes = _axes()
    axes.plot([p["step"] for p in points], [p["loss"] for p in points], color=BLUE, linewidth=1.4, label="trained on")
    held_out = [(p["step"], p["held_out_loss"]) for p in points if "held_out_loss" in p]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), color=ORANGE, marker="o", linewidth=1.2, label="held out")
        axes.legend(frameon=False)
    rates = [(p["step"], p["held_out_pass_rate"]) for p in points if "held_out_pass_rate" in p]
    if rates:
        right = axes.twinx()
        right.plot(*zip(*rates, strict=True), color=GREY, marker="s", linewidth=1.2, linestyle="--")
        right.set_ylim(0, 1)
        right.set_ylabel("pass rate, held out (dashed)")
        right.spines["top"].set_visible(False)
    axes.set_xlabel("optimiser step")
    axes.set_ylabel("weighted loss (nats per token)")
    axes.set_ylim(bottom=min(0.0, *[p["loss"] for p in points]))  # below 0 only with signed weights
    return _svg(figure)


def scores(rows: Sequence[dict[str, Any]]) -> Markup:
    """pass@1 with its 95 % interval, per benchmark and model; what has no score has no bar."""
    rows = [row for row in rows if row["pass_at_1"] is not None]
    benchmarks = sorted({(row["domain"], row["benchmark"]) for row in rows})
    figure, axes = _axes(7, 2.8)
    models = sorted({row["model"] for row in rows}, key=lambda model: (list(MODEL_COLOURS).index(_kind(model)), model))
    width = 0.78 / max(3, len(models))
    for offset, model in enumerate(models):
        found = {(r["domain"], r["benchmark"]): r for r in rows if r["model"] == model}
        places = [x for x, key in enumerate(benchmarks) if key in found]
        mine = [found[benchmarks[x]] for x in places]
        heights = [r["pass_at_1"] for r in mine]
        errors = [[max(0.0, h - r["ci95_low"]) for h, r in zip(heights, mine, strict=True)],
                  [r["ci95_high"] - h for h, r in zip(heights, mine, strict=True)]]  # fmt: skip
        shift = width * (offset - (len(models) - 1) / 2)
        axes.bar([x + shift for x in places], heights, 0.92 * width, yerr=errors, capsize=3,
                 color=MODEL_COLOURS[_kind(model)], label=model)  # fmt: skip
    axes.set_xticks(range(len(benchmarks)), [f"{name}\n({domain}-domain)" for domain, name in benchmarks])
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("pass@1")
    if models:
        axes.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, 1.2))
    return _svg(figure)


def _kind(model: str) -> str:
    return model if model in {"base", "student"} else "teacher"


def teachers(choice: dict[str, Any]) -> list[Markup]:
    """Every candidate by what may foretell it, against what its student scored; [] where nothing was trained."""
    rows = [row for row in choice["rows"] if row.get("student_score") is not None]
    if len(rows) < 2:
        return []
    return [_against_students(rows, key, label, choice["rows"][choice["winner"]]["model"]) for key, label in (
        ("own_score", "the teacher's own score"), ("rsr", "RSR under the student"), ("mean_surprisal", "surprisal (nats)"),
    ) if all(row.get(key) is not None for row in rows)]  # fmt: skip


def _against_students(rows: list[dict[str, Any]], key: str, label: str, winner: str) -> Markup:
    figure, axes = _axes(3.2)
    for row in rows:
        axes.scatter(row[key], row["student_score"], color=BLUE if row["model"] == winner else GREY)
        axes.annotate(row["model"].rsplit("/", 1)[-1], (row[key], row["student_score"]), fontsize=8,
                      xytext=(4, 3), textcoords="offset points")  # fmt: skip
    axes.set_xlabel(label)
    axes.set_ylabel("its student's score")
    axes.margins(0.2)
    return _svg(figure)


def cluster(rows: Sequence[dict[str, Any]]) -> Markup:
    """Nodes, and CPUs or GPUs: there, held and wanted, over the minutes of a run without its pauses."""
    what = "gpus" if any(row["gpus"] for row in rows) else "cpus"
    minutes, begins = _working_minutes(rows)
    figure, (above, below) = plt.subplots(2, 1, figsize=(7, 3.8), sharex=True)
    above.step(minutes, [row["nodes"] for row in rows], where="post", color=GREY)
    above.set_ylabel("nodes")
    for label, key, style in (("there", what, GREY), ("held", f"{what}_held", BLUE), ("wanted", f"{what}_wanted", ORANGE)):
        below.step(minutes, [row[key] for row in rows], where="post", color=style, label=label)
    below.set_ylabel(what.upper().replace("S", "s"))
    below.set_xlabel("minutes")
    below.legend(frameon=False, fontsize=8, ncols=3, loc="lower left", bbox_to_anchor=(0, 1))
    for step, minute in begins:
        above.axvline(minute, color="#e4e8ec", zorder=0)
        above.annotate(step, (minute, 1), xycoords=("data", "axes fraction"), fontsize=7, rotation=25, va="bottom")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_ylim(bottom=0)
    return _svg(figure)


def _working_minutes(
    rows: Sequence[dict[str, Any]], longest_seconds: float = 60
) -> tuple[list[float], list[tuple[str, float]]]:
    """(the minute of each row, and where each step begins)"""
    minutes, begins, now = list[float](), list[tuple[str, float]](), 0.0
    for before, row in zip([None, *rows[:-1]], rows, strict=True):
        now += min(row["time"] - before["time"], longest_seconds) / 60 if before else 0
        minutes.append(now)
        if before is None or before["step"] != row["step"]:
            begins.append((row["step"], now))
    return minutes, begins
