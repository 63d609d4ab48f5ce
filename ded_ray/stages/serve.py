"""The models of a finished run behind one endpoint: `ded-ray serve RUN`, and the same for Ray Serve's own commands.

serve run ded_ray.stages.serve:app run=runs/mine models=student,base
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ded_ray.errors import BadInput
from ded_ray.files.folders import folder_at
from ded_ray.recipe import Generator, Recipe
from ded_ray.run import Run
from ded_ray.serve.endpoint import Access, ServedModel

if TYPE_CHECKING:
    from ded_ray.serve.playground import Playground

PROBLEMS_ON_PAGE = 50
"""Of each benchmark."""


@contextmanager
def serve_run(folder: Path, names: Sequence[str], *, host: str | None = None, port: int | None = None) -> Iterator[str]:
    """Serve models of a run by their names while the block runs; yields the endpoint's base URL.

    `host` and `port` replace the recipe's; port 0 takes a free one. Raises BadInput for a folder without a trained
    student, for a name that the run does not have, and for an endpoint open to others without a token.
    """
    run = Run.open(folder)
    models = models_by_name(run, names)
    config = run.recipe.serve
    access = Access(
        config.host if host is None else host, config.port if port is None else port, os.environ.get(config.api_key_env, "")
    )
    if not access.is_local and not access.token:
        raise BadInput(f"serve.host: {access.host} is open to others; set ${config.api_key_env} to the token they must send")
    from ded_ray.runtime.connect import start_ray

    start_ray()
    from ded_ray.serve.ray_serve import served

    with served(models, config, access=access, playground=_playground(run.recipe, names)) as url:
        yield url


def app(arguments: dict[str, Any]) -> Any:
    """What `serve run`, `serve deploy` and a RayService name: `run` is the folder, `models` names after commas.

    Where it listens, and how many nodes it may take, is theirs to say. The token is in this process's environment.
    Raises BadInput for an endpoint open to others without one.
    """
    from ded_ray.serve.gateway import Settings
    from ded_ray.serve.ray_serve import application, check_token

    run = Run.open(folder_at(arguments["run"]))
    names = arguments.get("models", "student").split(",")
    config = run.recipe.serve
    token = os.environ.get(config.api_key_env, "")
    check_token(token)
    settings = Settings.of(config, token)
    models, playground = models_by_name(run, names), _playground(run.recipe, names)
    return application(models, config, settings=settings, playground=playground)


def models_by_name(run: Run, names: Sequence[str]) -> list[ServedModel]:
    """The student, `base`, which it was before its training, and the teachers by what the scores call them."""
    student, generators = run.recipe.student, _generators(run.recipe)
    models = []
    for name in names:
        if name not in generators:
            raise BadInput(f"models: the run has no {name!r}; it has {', '.join(generators)}")
        model = generators[name].model
        if name == "student":
            model = str(run.finished_stage("checkpoint").folder / "model")
        models.append(served_model(name, model, generators[name] if name != "base" else student))
    return models


def _generators(recipe: Recipe) -> dict[str, Generator]:
    from ded_ray.stages.inputs import can_be_served, models_of

    models = models_of(recipe)
    return {"student": models["student"], "base": recipe.student} | {n: g for n, g in models.items() if can_be_served(g)}


def served_model(name: str, model: str, generator: Generator) -> ServedModel:
    """A model as its recipe has it asked; one that has no engine of ours is served by the embedded one."""
    from ded_ray.recipe import TransformersEngine, VllmEngine

    engine = generator.engine
    ours = engine if isinstance(engine, TransformersEngine | VllmEngine) else TransformersEngine()
    return ServedModel(name, model, generator.chat, ours)


def _playground(recipe: Recipe, names: Sequence[str]) -> "Playground":
    """The page, with problems of the run's benchmarks where their files are still there."""
    from ded_ray.serve.playground import Playground
    from ded_ray.stages.inputs import read_inputs

    try:
        benchmarks = read_inputs(recipe).benchmarks
    except BadInput:
        benchmarks = {}
    shown = [problem for problems in benchmarks.values() for problem in problems[:PROBLEMS_ON_PAGE]]
    return Playground(tuple(names), tuple(shown), recipe.verify)
