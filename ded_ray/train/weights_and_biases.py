"""Weights & Biases, where a recipe asks for it: the point of every step, as on TensorBoard.

    check_wandb(recipe.train.wandb)                                     # BadInput before a teacher is paid, or nothing
    run = start_wandb(config, name="mine", run_id="4f2a", folder=here, knobs={})
    run.log({"train/loss": 0.7}, step=1)
    end_wandb(run)

Key, server and mode are wandb's own affair (`wandb login`, WANDB_API_KEY, WANDB_BASE_URL, WANDB_MODE); nothing here reads
them, passes them on or writes them down.
"""

from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.recipe import Wandb

PACKAGE = "train.wandb: the package wandb is not here; pip install 'ded-ray[wandb]', or leave it out"
KEY = "train.wandb: wandb has no key here; run `wandb login`, or set WANDB_API_KEY, or WANDB_MODE=offline"


def check_wandb(config: Wandb | None) -> None:
    """Raise BadInput where nothing could be sent: no package, or no key and no WANDB_MODE that needs none."""
    if config is None:
        return
    wandb = _package()
    try:
        sends = wandb.setup().settings.mode in {"online", "shared"}
        has_key = not sends or wandb.login(prompt=False, verify=False)
    except (wandb.Error, ValueError) as error:
        raise _refusal(error) from error
    if not has_key:
        raise BadInput(KEY)


def start_wandb(config: Wandb, *, name: str, run_id: str, folder: Path, knobs: dict[str, Any]) -> Any:
    """The run of this id, begun or gone on with: its steps so far stay as they are. Its files are in `folder`/wandb.

    Raises BadInput where it cannot be begun.
    """
    check_wandb(config)
    wandb = _package()
    # Neither output nor what the machine is, runs and has installed: only what is logged.
    settings = wandb.Settings(
        console="off", silent=True, save_code=False, disable_git=True, x_disable_meta=True, x_save_requirements=False
    )
    name = config.name or name
    try:
        return wandb.init(
            project=config.project, name=name, id=run_id, resume="allow", dir=str(folder), config=knobs, settings=settings
        )
    except (wandb.Error, ValueError) as error:
        raise _refusal(error) from error


def end_wandb(run: Any) -> None:
    """End the run, and wait until its files are whole: wandb's own process writes them, also after `finish`."""
    run.finish()
    _package().teardown()


def _package() -> Any:
    try:
        import wandb
    except ImportError as error:
        raise BadInput(PACKAGE) from error
    return wandb


def _refusal(error: Exception) -> BadInput:
    return BadInput(f"train.wandb: {' '.join(str(error).split())}")
