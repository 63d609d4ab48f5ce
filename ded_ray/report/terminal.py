"""What a run looks like on a terminal: its plan, its ledger, its scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ded_ray.records import CHECKED
from ded_ray.report.beside import planned_beside_actual
from ded_ray.report.training import curve_of, what_it_took
from ded_ray.run import Run
from ded_ray.verify.grade import Summary
from ded_ray.verify.judge import agreement

console = Console()


def show_run(run: Run) -> None:
    """The ledger, what the training took, and the scores."""
    ledger = Table(title=f"{run.folder.name}: what went in, stayed, and was dropped")
    for heading in ("stage", "rows", "in", "kept", "dropped", "seconds"):
        ledger.add_column(heading, justify="right" if heading in {"in", "kept", "seconds"} else "left")
    for line in run.ledger():
        dropped = ", ".join(f"{count} {reason}" for reason, count in line["dropped"].items())
        ledger.add_row(line["stage"], line["unit"], str(line["rows_in"]), str(line["rows_kept"]), dropped or "-",
                       f"{line['seconds']:.1f}")  # fmt: skip
    console.print(ledger)
    if curve := curve_of(run):
        print_line(f"trained: {what_it_took(curve)}")
    scores = Table(title="pass@1 with 95 % interval")
    for heading in ("benchmark", "domain", "model", "pass@1", "interval", "cut off", "samples"):
        scores.add_column(heading)
    for row in sorted(run.scores(), key=lambda r: (r["domain"], r["benchmark"])):
        found = row["pass_at_1"] is not None
        scores.add_row(row["benchmark"], row["domain"], row["model"], f"{row['pass_at_1']:.3f}" if found else "-",
                       f"{row['ci95_low']:.3f} - {row['ci95_high']:.3f}" if found else "none could be checked",
                       f"{row['cut_off_rate']:.1%}", str(row["num_samples"]))  # fmt: skip
    if run.scores():
        console.print(scores)
    if beside := planned_beside_actual(run):
        print_table("planned beside actual", beside)


def print_table(title: str, lines: Sequence[Sequence[str]]) -> None:
    """Lines of cells, headings first; numbers, which are in all but the first two columns, are aligned on the right."""
    table = Table(title=title)
    for i, heading in enumerate(lines[0]):
        table.add_column(heading, justify="left" if i < 2 else "right")
    for line in lines[1:]:
        table.add_row(*line)
    console.print(table)


def show_plan(
    name: str, rows: Sequence[tuple[str, str]], prompt_preview: dict[str, str], warnings: Sequence[str] = ()
) -> None:
    """What a run would do, as (stage, what it takes at most), what each of its models would be shown, and what is amiss."""
    table = Table(title=f"{name}: the plan (nothing is written)")
    for heading in ("stage", "at most"):
        table.add_column(heading)
    for stage, at_most in rows:
        table.add_row(stage, at_most)
    console.print(table)
    for model, preview in prompt_preview.items():
        print_line(f"{model}, first prompt, {preview}")
    for line in warnings:
        print_line(line)


def show_graded(summary: Summary) -> None:
    """Statuses of graded rows, the most frequent first; agreement with labels and judge; what took longest."""
    total = summary.statuses.total()
    labelled = {status for status, _ in summary.labels}
    table = Table(title=f"{total} rows")
    for heading in ("status", "rows", "share", *(("label true", "label false") if labelled else ())):
        table.add_column(heading, justify="left" if heading == "status" else "right")
    for status, count in summary.statuses.most_common():
        by_label = [str(summary.labels[status, truth]) for truth in (True, False)] if labelled else []
        table.add_row(status, str(count), f"{count / total:.2%}", *by_label)
    console.print(table)
    if labelled:
        checked = {pair: count for pair, count in summary.labels.items() if pair[0] in CHECKED}
        agreed = sum(count for (status, truth), count in checked.items() if (status == "correct") == truth)
        share = f" ({agreed / sum(checked.values()):.2%})" if checked else ""
        print_line(f"agrees with the label on {agreed} of {sum(checked.values())} checked rows{share}")
    if summary.num_missing:
        print_line(f"{summary.num_missing} rows have no answer, or no completion: unverifiable")
    if summary.isolation:
        print_line("programs ran behind: " + ", ".join(f"{walls} ({n})" for walls, n in summary.isolation.items()))
    if judged := agreement(summary.judged):
        print_line(
            f"the judge was asked {judged['asked']} times, decided {judged['replaced']}, and agrees with the rules on "
            f"{judged['agreed']} of {judged['audited']} that they had decided"
        )
    if summary.slowest:
        rows = ", ".join(f"row {row} ({seconds:.2f} s, {status})" for seconds, row, status in summary.slowest)
        print_line(f"slowest: {rows}")


def show_verdicts(graded: Path) -> None:
    """One line per row of a graded file: which it is, its status, what was found and what was wanted."""
    import pyarrow.parquet as pq

    number = 0
    with pq.ParquetFile(graded) as file:
        wanted = [name for name in ("sample", "status", "extracted", "answer") if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=wanted):
            for row in batch.to_pylist():
                number += 1
                sample = f", sample {row['sample']}" if row.get("sample") is not None else ""
                found = "" if row["extracted"] is None else f", found {_shown(row['extracted'])}"
                print_line(f"row {number}{sample}: {row['status']}{found}, answer {_shown(row['answer'])}")


def _shown(text: str | None) -> str:
    """On one line, and no longer than a line."""
    line = repr(text)
    return line if len(line) <= 80 else f"{line[:80]}..."


TEACHER_MEASURES = {
    "own_score": "its own score", "verified_rate": "verified", "cut_off_rate": "cut off", "mean_tokens": "tokens per answer",
    "tokens_per_verified": "tokens per verified answer", "usd_per_verified": "USD per verified answer",
    "mean_entropy": "entropy, mean", "median_entropy": "entropy, median", "mean_surprisal": "surprisal", "rsr": "RSR",
    "pca_shift": "PCA shift of its student",
}  # fmt: skip
"""Keys of teachers.json other than the student's score, and what a person reads for each."""


def teacher_table(found: dict[str, Any]) -> list[list[str]]:
    """teachers.json as lines of cells, a column per candidate, headings first; only what is known of any of them."""
    rows = found["rows"]
    lines = [["", *[row["model"] + (" (chosen)" if i == found["winner"] else "") for i, row in enumerate(rows)]]]
    if any(row.get("student_score") is not None for row in rows):
        lines.append(["its student's score", *[cell(row["student_score"]) for row in rows]])
        for j, other in enumerate(rows):
            lines.append([f"minus {other['model']}'s", *[cell(row["differences_ci95"][j]) for row in rows]])
    for key, name in TEACHER_MEASURES.items():
        if any(row.get(key) is not None for row in rows):
            lines.append([name, *[cell(row.get(key)) for row in rows]])
    return lines


def show_teachers(found: dict[str, Any]) -> None:
    """The candidates of a smoke test, a column each."""
    headings, *lines = teacher_table(found)
    table = Table(title="teachers")
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left", overflow="fold")
    for line in lines:
        table.add_row(*line)
    console.print(table)
    print_line(f"the rule: {found['rule']}; entropy, surprisal and RSR are those of {found['entropy_of']}, in nats")
    if found["disagreement"]:
        print_line(found["disagreement"])


def cell(value: Any) -> str:
    """A number of teachers.json as a person reads it: three digits behind the point, or of those that say anything."""
    if isinstance(value, list):
        return f"{value[0]:+.3f} to {value[1]:+.3f}"
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) >= 0.01 or not value else f"{value:.3g}"


def show_history(name: str, lines: list[tuple[str, str]]) -> None:
    """What happened to one rollout, a row per event."""
    table = Table(title=name, show_header=False, show_lines=True)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for heading, text in lines:
        table.add_row(heading, Text(text))  # what models wrote is no markup
    console.print(table)


def print_line(text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True, markup=False, emoji=False)  # what models wrote is no markup
