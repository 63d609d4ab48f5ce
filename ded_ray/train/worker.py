"""The worker loop: what every Ray Train worker runs. Deterministic in seed and step, so that it resumes exactly.

`jobs/reproduce/learn.py` is the same loop without Ray, workers and micro-batches.
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import ray
import ray.train
import torch
from transformers import AutoConfig

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.folders import filled, is_local, remove
from ded_ray.files.store_errors import full_disk
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.recipe import Generator, Train
from ded_ray.train.batches import batch_at, num_steps
from ded_ray.train.check import check_student
from ded_ray.train.checkpoints import files_of, last_checkpoint, load_best, save_checkpoint
from ded_ray.train.export import end_tokens, write_generation_config
from ded_ray.train.flops import Meter
from ded_ray.train.guard import what_went_wrong
from ded_ray.train.held_out import LOSS, PASS_RATE, held_out_loss, is_over, split
from ded_ray.train.history import History
from ded_ray.train.pass_rate import Exam, questions_of
from ded_ray.train.preflight import longest_sequence, takes_positions
from ded_ray.train.schedule import learning_rate_at
from ded_ray.train.step import Place, Step, loss_of, run_step
from ded_ray.train.strategy import Strategy, make_strategy
from ded_ray.train.tokens import Tokens
from ded_ray.train.weights_and_biases import start_wandb

MODEL = "model"


def train_worker(config: dict[str, Any]) -> tuple[str, bool] | None:
    """Train `config["student"]` on the tokens in `config["tokens"]` as `config["train"]` says.

    Leaves the model, the curve and the steps in `config["folder"]`. Where there is no model the first worker returns why,
    and whether the input is at fault.
    """
    folder = config["folder"]
    try:
        with full_disk(folder):
            reason = _train(config, folder)
    except BadInput as error:  # the same on every worker; raised on, it would be answered by restarts
        return str(error), True
    except Stopped as error:  # of this worker alone: Ray ends the others, and those that it starts then are told
        ray.get(config["counts"].stop.remote(str(error)))
        raise
    return (reason, False) if reason is not None else None


def _train(config: dict[str, Any], folder: Path) -> str | None:
    train = _resolved(config)
    student: Generator = config["student"]
    context = ray.train.get_context()
    torch.set_num_threads(max(1, int(train.num_cpus)))
    device = ray.train.torch.get_device() if train.use_gpu else torch.device("cpu")
    chat, tokens = ChatTokenizer(student.model, student.chat), Tokens(config["tokens"])
    place = Place(train, context.get_world_rank(), context.get_world_size(), device, pad_id=chat.end_id)
    if why := _why_stopped(config["counts"], place):
        return why
    torch.manual_seed(config["seed"])
    strategy = make_strategy(model_path(student.model), train, rank=place.rank, device=device)
    check_student(strategy, tokens, place)
    trained, held_out = split(tokens, train.held_out)
    total = num_steps(len(trained), train.batch_size, train.epochs, train.max_steps)
    first_step, history = _resume(strategy, config, place)
    meter, exam = _meter(model_path(student.model), place), _exam(config, tokens, held_out, chat, place)

    for step in range(first_step, total):
        if train.held_out is not None and is_over(history.curve, train.held_out):
            break
        torch.manual_seed(config["seed"] * 1_000_003 + step)  # an adapter's dropout is the same after a restart
        indices = [trained[i] for i in batch_at(step, len(trained), train.batch_size, config["seed"])]
        rate, started = learning_rate_at(step, total, train), time.monotonic()
        done = run_step(strategy, tokens, indices, place, rate=rate)
        seconds = time.monotonic() - started
        mfu = meter.mfu(tokens.lengths[indices], seconds=seconds, num_gpus=place.num_workers) if meter else None
        history.add(step, done, rate=rate, indices=indices, tokens=tokens, seconds=seconds, mfu=mfu)
        if wrong := what_went_wrong(done.loss, done.norm, history.norms[:-1]):
            history.finish()
            return _bad_step(step, wrong, done, tokens, indices)
        if place.rank == 0:
            config["counts"].set.remote(done=step + 1)
        every = train.held_out.every_steps if train.held_out is not None else train.checkpoint_every_steps
        why = _why_stopped(config["counts"], place) if step + 1 < total else None
        # With held-out questions checkpoints are measurements, which a stop must not add to.
        if (step + 1) % every == 0 or step + 1 == total or (why and train.held_out is None):
            if held_out:
                history.measured(**{LOSS: held_out_loss(strategy, tokens, held_out, place)})
            if exam and (passed := exam.pass_rate(strategy, step=step + 1)) is not None:
                history.measured(**{PASS_RATE: passed})
            save_checkpoint(strategy, history, place, config)
        if why:
            history.finish()
            return why

    last = [trained[i] for i in batch_at(history.num_steps - 1, len(trained), train.batch_size, config["seed"])]
    if wrong := what_went_wrong(loss_of(strategy, tokens, last, place)[0], 0.0, []):
        return f"train: after the last step {wrong}; lower train.learning_rate"
    if train.held_out is not None:
        load_best(strategy, history, train.held_out, folder)
    _export(strategy, chat, history, model_path(student.model), folder, rank=place.rank)
    return None


def _why_stopped(counts: Any, place: Place) -> str | None:
    """Why the driver wants no further step; None while it does. A collective."""
    return _from_the_first(ray.get(counts.why_stopped.remote()) if place.rank == 0 else None, place)


def _from_the_first(why: str | None, place: Place) -> str | None:
    """What the first worker has to say, so that all do the same; the others have no words for it. A collective."""
    is_said = torch.tensor(int(why is not None), device=place.device)
    torch.distributed.broadcast(is_said, 0)
    return why or "stopped" if is_said.item() else None


def _exam(config: dict[str, Any], tokens: Tokens, held_out: list[int], chat: ChatTokenizer, place: Place) -> Exam | None:
    """What the student is asked at every measurement; nothing unless the recipe wants a pass rate."""
    asked = place.train.held_out and place.train.held_out.pass_rate
    if not (asked and held_out):
        return None
    student, grading = config["student"], config["grading"]
    ends = end_tokens(model_path(student.model), chat.end_id)
    return Exam(
        questions=questions_of(tokens, held_out, grading.curated, most=asked.max_questions),
        config=asked,
        chat=chat,
        ends=frozenset({*ends, chat.tokenizer.eos_token_id} - {None}),
        max_length=longest_sequence(student, place.train),
        verifier=grading.make_verifier(),
        place=place,
        seed=config["seed"],
    )


def _resolved(config: dict[str, Any]) -> Train:
    """The knobs with what they leave to the model decided."""
    train: Train = config["train"]
    if train.packing is None:
        packs = takes_positions(AutoConfig.from_pretrained(model_path(config["student"].model)))
        train = train.model_copy(update={"packing": packs})
    return train


def _meter(path: str, place: Place) -> Meter | None:
    """What measures the use of this worker's card, which the others are taken to have too."""
    if place.device.type != "cuda":
        return None
    return Meter.of(AutoConfig.from_pretrained(path), place.train, torch.cuda.get_device_name(place.device))


def _bad_step(step: int, wrong: str, done: Step, tokens: Tokens, indices: list[int]) -> str:
    """The line that ends the run: the step, and where its rollouts are."""
    worst = max(range(len(indices)), key=lambda n: (done.losses[n] != done.losses[n], done.losses[n]))
    return (
        f"train: step {step + 1}: {wrong}; its {len(indices)} rollouts are in checkpoint/steps.parquet, the worst is "
        f"{tokens.name(indices[worst])} (ded-ray explain); lower train.learning_rate, or drop what is wrong with them"
    )


def _resume(strategy: Strategy, config: dict[str, Any], place: Place) -> tuple[int, History]:
    """(first step to do, what was so far): from the last checkpoint that Ray Train committed, else from the start."""
    folder, here = config["folder"], None
    if place.rank == 0:
        here = folder if is_local(folder) else Path(tempfile.mkdtemp(prefix="ded_ray_board_"))
    run = _wandb_run(config, here, place)
    checkpoint = last_checkpoint(folder, place)
    if checkpoint is None:
        return 0, History(folder, [], here=here, wandb=run)
    with files_of(checkpoint, folder) as files:
        step = strategy.load(files)
        curve = History.read(files)
    return step, History(folder, curve, here=here, wandb=run)


def _wandb_run(config: dict[str, Any], here: Path | None, place: Place) -> Any:
    """The first worker's run of W&B, if the recipe wants one; known by the training's own name, it goes on after a restart.

    Raises BadInput on all workers where it cannot be begun. A collective.
    """
    train, folder = place.train, config["folder"]
    if train.wandb is None:
        return None
    run, problem = None, None
    if here is not None:
        try:
            run = start_wandb(
                train.wandb, name=f"{folder.parent.name}/{folder.name}", run_id=config["name"], folder=here,
                knobs=train.model_dump(mode="json"),
            )  # fmt: skip
        except BadInput as error:
            problem = str(error)
    if problem := _from_the_first(problem, place):
        raise BadInput(problem)
    return run


def _export(strategy: Strategy, chat: ChatTokenizer, history: History, path: str, folder: Path, *, rank: int) -> None:
    """The trained model, whole or not at all."""
    if rank != 0:
        strategy.export(folder)  # it gives its share, and writes nothing
        return
    remove(folder / MODEL)
    with filled(folder) as here:
        unfinished = here / f".{MODEL}"
        remove(unfinished)
        try:
            strategy.export(unfinished)
            chat.export(str(unfinished))
            if (unfinished / "config.json").exists():  # not beside an adapter alone
                write_generation_config(path, unfinished, chat.end_id)
            unfinished.rename(here / MODEL)
        finally:
            remove(unfinished)
    history.write(folder)
    history.finish()
