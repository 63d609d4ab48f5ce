"""The model card of a trained student, beside its weights: what it was made of, how, and what it scores."""

from pathlib import Path
from typing import Any

from ded_ray.files.parts import write_atomically
from ded_ray.report.page import verdicts_of
from ded_ray.run import Run

CARD = """\
---
base_model: {student}
library_name: {library}
tags: [distillation, ded-ray]
---

# {name}

{student}, distilled with ded_ray: reward-weighted fine-tuning on verified answers of {teachers}.

| | |
|---|---|
| trained on | {examples} answers, in {steps} steps ({strategy}{adapter}) |
| seed | {seed} |

| model | benchmark | domain | pass@1 | 95 % interval | cut off | problems | samples |
|---|---|---|---|---|---|---|---|
{scores}

{verdicts}

The recipe:

```yaml
{recipe}```
"""


def write_card(run: Run) -> Path | None:
    """Write `checkpoint/model/README.md`; None when there is no model."""
    folder, recipe = run.folder / "checkpoint" / "model", run.recipe
    if not folder.is_dir():
        return None
    [line] = [line for line in run.ledger() if line["stage"] == "checkpoint"] or [{}]
    text = CARD.format(
        name=recipe.name, student=recipe.student.model,
        library="peft" if (folder / "adapter_config.json").exists() else "transformers",
        teachers=", ".join(teacher.model for teacher in recipe.teachers.candidates),
        examples=line.get("rows_kept", "?"), steps=line.get("best_step") or line.get("steps", "?"),
        strategy=recipe.train.strategy.kind, adapter=", LoRA" if recipe.train.lora else "", seed=recipe.seed,
        scores="\n".join(map(_row, run.scores())), verdicts="\n".join(f"- {each}" for each in verdicts_of(run.scores())),
        recipe=(run.folder / "recipe.yaml").read_text(),
    )  # fmt: skip
    write_atomically(folder / "README.md", text)
    return folder / "README.md"


def _row(row: dict[str, Any]) -> str:
    numbers = [f"{row[name]:.3f}" if row.get(name) is not None else "-" for name in ("pass_at_1", "ci95_low", "ci95_high")]
    cut_off = f"{row['cut_off_rate']:.1%}" if row.get("cut_off_rate") is not None else "-"
    cells = [row["model"], row["benchmark"], row["domain"], numbers[0], f"{numbers[1]} to {numbers[2]}", cut_off]
    return f"| {' | '.join(cells)} | {row['num_problems']} | {row['num_samples']} |"
