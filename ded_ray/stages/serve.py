"""A finished run's student behind its endpoint."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ded_ray.run import Run


@contextmanager
def serve_student(folder: Path, port: int | None = None) -> Iterator[str]:
    """Serve a run's student as model `student` while the block runs; yields the endpoint's base URL.

    `port` replaces the recipe's; 0 takes a free one. Raises BadInput for a folder without a trained student.
    """
    run = Run.open(folder)
    model = run.finished_stage("checkpoint").folder / "model"
    from ded_ray.runtime.connect import start_ray

    start_ray()
    from ded_ray.serve.ray_serve import served

    config = run.recipe.serve if port is None else run.recipe.serve.model_copy(update={"port": port})
    with served(str(model), "student", config, chat=run.recipe.student.chat) as url:
        yield url
