"""Whether a student can be trained, asked before a teacher is paid: its weights are there and complete, its tokens have
rows in the embedding, its kind is one that is trained here.

    check_student(recipe.student, recipe.train)   # BadInput, or nothing
"""

import inspect
import logging
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.recipe import Student, Train
from ded_ray.train.weights_and_biases import check_wandb

# transformers imports DeepSpeed, which tells the standard output, a command's own, that there is no GPU.
logging.getLogger("DeepSpeed").addFilter(lambda record: record.levelno > logging.WARNING)


def check_student(student: Student, train: Train) -> None:
    """Raise BadInput for a student that training, export or serving would stumble over, or a curve that nobody would get."""
    from transformers import AutoConfig

    check_wandb(train.wandb)
    path = model_path(student.model)
    config = AutoConfig.from_pretrained(path)
    text = config.get_text_config()
    if text is not config:
        raise _refusal(student, f"{config.model_type} is a model of text and more; name its text model alone")
    architecture = architecture_of(config)
    if architecture is None:
        raise _refusal(student, f"transformers has no causal language model for {config.model_type}")
    if train.packing and not takes_positions(config):
        raise BadInput(
            f"train.packing: {config.model_type} takes no positions, so it cannot tell sequences apart; leave it out"
        )
    if train.held_out is not None and train.held_out.pass_rate is not None:
        _check_answers(student, config)
    chat = ChatTokenizer(student.model, student.chat)
    highest = max([chat.end_id, *chat.prompt_ids("WHAT?")])
    if highest >= text.vocab_size:
        token = chat.tokenizer.convert_ids_to_tokens(highest)
        raise _refusal(student, f"its tokenizer writes {token!r} as {highest}, and its embedding has {text.vocab_size} rows")
    if Path(path).is_dir():
        _check_files(student, path, config, architecture)


def architecture_of(config: Any) -> Any:
    """The class of the causal language model with this configuration; None if there is none."""
    from transformers import AutoModelForCausalLM

    mapping: Any = AutoModelForCausalLM._model_mapping
    return mapping.get(type(config), None)


def takes_positions(config: Any) -> bool:
    """Whether the model is told where each token stands; without that, sequences in a row would run into each other."""
    architecture = architecture_of(config)
    return architecture is not None and "position_ids" in inspect.signature(architecture.forward).parameters


def longest_sequence(student: Student, train: Train) -> int:
    """`train.max_length`, or the student's context where that is shorter. Stretched positions have their own rules."""
    from transformers import AutoConfig

    text = AutoConfig.from_pretrained(model_path(student.model)).get_text_config()
    context = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or getattr(text, "rope_scaling", None) or {}
    is_stretched = rope.get("rope_type", "default") != "default"
    return train.max_length if context is None or is_stretched else min(train.max_length, context)


def _check_answers(student: Student, config: Any) -> None:
    from ded_ray.models.key_values import KeyValues

    try:
        KeyValues(config)
    except ValueError as error:
        raise BadInput(
            f"train.held_out.pass_rate: {student.model} cannot answer while it is trained; leave it out"
        ) from error


def _check_files(student: Student, path: str, config: Any, architecture: Any) -> None:
    """The folder's weights, by the headers of its files: all there, whole, and of the right shapes."""
    import torch
    from safetensors import SafetensorError
    from transformers.conversion_mapping import get_model_conversion_mapping

    from ded_ray.models.weights import WeightFiles

    try:
        files = WeightFiles(path)
        shapes = {name: files.shape(name) for name in files}
    except (OSError, SafetensorError) as error:
        raise _refusal(student, f"its weights cannot be read ({' '.join(str(error).split())[:200]})") from error
    if not shapes:
        if list(Path(path).glob("pytorch_model*.bin")):
            return
        raise _refusal(student, "its folder has no weights (*.safetensors)")
    with torch.device("meta"):
        skeleton = architecture(config)
    if get_model_conversion_mapping(skeleton, add_legacy=False):
        return  # the names in the files are others than the model's; loading finds what is missing
    tied, prefix = set(skeleton.all_tied_weights_keys or {}), f"{skeleton.base_model_prefix}."
    for name, parameter in skeleton.named_parameters():
        found = shapes.get(name, shapes.get(name.removeprefix(prefix)))
        if found is None and name not in tied:
            raise _refusal(student, f"its files lack {name}, which would be random")
        if found is not None and found != tuple(parameter.shape):
            raise _refusal(student, f"{name} is {found} in its files and {tuple(parameter.shape)} by its configuration")


def _refusal(student: Student, reason: str) -> BadInput:
    return BadInput(f"student.model: {student.model} cannot be trained: {reason}")
