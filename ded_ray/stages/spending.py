"""What a step of a run costs while it runs, and the end of it when the budget is spent."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.store_errors import storage_errors
from ded_ray.generate.engines.budget import Cost, costs_file, read_costs
from ded_ray.recipe import Generator, OpenAIEngine, Recipe
from ded_ray.run import CLUSTER_FILE, Run
from ded_ray.runtime.needs import Needs, gpus_held, step_of
from ded_ray.runtime.spending import Spending, WhyOver

if TYPE_CHECKING:
    from ded_ray.runtime.watch import Watch

SPENT_FILE = "spent.json"


@contextmanager
def spending(run: Run, stage: str, needs: Sequence[Needs]) -> Iterator[WhyOver]:
    """Count what the step that leaves this stage holds while the block runs, see `Spending.step`.

    The block is to end soon after what is yielded gives a line.
    """
    spent = Spending(run.folder / SPENT_FILE, run.recipe.budget, partial(endpoint_usd, run.recipe, run.folder))
    with spent.step(step_of(stage), gpus_held(needs)) as count:
        yield partial(_count, count, _watch(run, stage, needs), run.folder)


def _watch(run: Run, stage: str, needs: Sequence[Needs]) -> "Watch":
    from ded_ray.runtime.watch import Watch

    return Watch(run.folder / CLUSTER_FILE, step_of(stage), needs)


def _count(count: WhyOver, watch: "Watch", folder: Path) -> str | None:
    """The step also ends where nothing can be written down any more: its answers could not be saved either."""
    try:
        with storage_errors(folder, Stopped):
            watch.note()
            return count()
    except Stopped as stopped:
        return str(stopped)


def endpoint_usd(recipe: Recipe, folder: Path) -> float:
    """What all endpoints of a recipe have cost the run in this folder."""
    total = 0.0
    for generator in _priced(recipe):
        assert isinstance(generator.engine, OpenAIEngine)
        name = costs_file(generator.model, generator.engine)
        for file in [*folder.glob(f"*/{name}"), *folder.glob(f"*/*/{name}")]:
            total += sum(read_costs(file).values(), Cost()).usd(generator.engine)
    return total


def check_budget(recipe: Recipe) -> None:
    """Raise BadInput for a cap on money where no price is known."""
    if recipe.budget.max_usd is None or recipe.budget.usd_per_gpu_hour is not None:
        return
    endpoints = _priced(recipe)
    if not endpoints:
        raise BadInput("budget.max_usd: nothing has a price; set budget.usd_per_gpu_hour, or budget.max_gpu_hours instead")
    for generator in endpoints:
        assert isinstance(generator.engine, OpenAIEngine)
        if not generator.engine.is_priced:
            raise BadInput(
                f"budget.max_usd: {generator.model} has no price; set usd_per_million_prompt_tokens and "
                f"usd_per_million_completion_tokens of its engine"
            )


def _priced(recipe: Recipe) -> list[Generator]:
    """The endpoints among the models of a recipe, each once."""
    judge = [recipe.verify.judge] if recipe.verify.judge is not None else []
    models = [recipe.student, *recipe.teachers.candidates, *judge]
    endpoints = {(each.model, each.engine.base_url): each for each in models if isinstance(each.engine, OpenAIEngine)}
    return list(endpoints.values())
