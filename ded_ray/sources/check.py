"""Checks that a model exists, that every prompt fits into it, and that a user's own verifier is there, before a run
writes or spends anything."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from ded_ray.knobs import BadInput
from ded_ray.recipe import Engine, Model, VllmEngine
from ded_ray.records import Problem, stable_hash
from ded_ray.tiny.models import model_path

FIRST_LOOK_CHARACTERS = 2000


def check_function(name: str, knob: str) -> str:
    """Raise BadInput when a verifier of the user's own, `module:function`, is not there; else a hash of its module's
    text, '' for verifiers that come with the package.
    """
    if ":" not in name:
        return ""
    module, _, function = name.partition(":")
    if (folder := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, folder)
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ImportError as error:
        raise BadInput(f"{knob}: {name!r} cannot be imported ({error}); put the module into {folder}") from error
    if not callable(found):
        raise BadInput(f"{knob}: there is no function {function!r} in {module}; write it as (completion, answer) -> bool")
    return stable_hash(Path(sys.modules[module].__file__ or "").read_text())


def check_adapter(engine: VllmEngine, knob: str) -> None:
    """Raise BadInput for a LoRA adapter that is not there."""
    if engine.lora and not (Path(engine.lora) / "adapter_config.json").is_file():
        raise BadInput(f"{knob}.engine.lora: {engine.lora} is not a folder of an adapter (it has no adapter_config.json)")


def check_prompts_fit(problems: list[Problem], who: Model, max_tokens: int, knob: str, sampling: str) -> str | None:
    """Raise BadInput for a model that cannot be found, or for the first prompt that leaves no room for an answer.

    `knob` is the part of the recipe that names the model, `sampling` the knob that says how long an answer may be.
    Returns the first prompt as the model sees it, with its number of tokens; None without problems.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from jinja2 import TemplateError
    from transformers import AutoConfig, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()  # it warns of the long prompt that is reported below, in its own words
    path = model_path(who.model)
    try:
        tokenizer, config = AutoTokenizer.from_pretrained(path), AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{knob}.model: {who.model!r} cannot be loaded ({reason}); name a hub model, a folder in Hugging "
                       f"Face format, or tiny/NAME") from error  # fmt: skip

    def rendered(text: str) -> str:
        return tokenizer.apply_chat_template(who.chat.messages(text), **who.chat.rendering())

    try:
        seen = rendered("WHAT?")
    except (OSError, ValueError, TemplateError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{knob}.chat: {who.model!r} cannot be asked ({reason}); set a template that fits") from error
    if "WHAT?" not in seen:
        raise BadInput(f"{knob}.chat: its template leaves the question out (it makes {seen[:80]!r}); set one that fits")
    context = _context(who.engine, config)
    for problem in problems:
        if context is None:
            break
        num_tokens = len(tokenizer.encode(rendered(problem.prompt), add_special_tokens=False))
        if num_tokens + max_tokens > context:
            raise BadInput(
                f"{problem.source}: the prompt of problem {problem.problem_id!r} has {num_tokens} tokens; with "
                f"{sampling} {max_tokens} that is over the context of {who.model} ({context}); remove or "
                f"shorten the problem, or lower max_tokens"
            )
    if not problems:
        return None
    first = rendered(problems[0].prompt)
    return f"{len(tokenizer.encode(first, add_special_tokens=False))} tokens: {first[:FIRST_LOOK_CHARACTERS]!r}"


def _context(engine: Engine, config: Any) -> int | None:
    """Tokens that an engine can hold with a model of this configuration; None where neither says."""
    own: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return engine.max_model_len or own if isinstance(engine, VllmEngine) else own
