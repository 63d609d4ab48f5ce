"""Checks before anything is written or paid for: the model exists, is asked in a way it understands, and has room.

    check_answers(problems, recipe.student, "student")   # what the model will see of the first prompt, or BadInput

BadInput names the knob, the problem and the remedy.
"""

import os
from pathlib import Path
from typing import Any

from ded_ray.errors import BadInput
from ded_ray.generate.load_engine import key_of
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.recipe import EngineConfig, Generator, OpenAIEngine, ReplayEngine, TransformersEngine, VllmEngine
from ded_ray.records import Problem

PREVIEW_CHARACTERS = 2000

LOCAL = TransformersEngine | VllmEngine
"""Engines that load the model themselves: its tokenizer can be asked before anything is spent."""


def check_answers(problems: list[Problem], generator: Generator, knob: str) -> str | None:
    """Raise BadInput when this model cannot answer these problems: no such model, no room, no key, no rollout.

    `knob` is the part of the recipe that names the model. Returns what the model will see of the first problem.
    """
    if isinstance(generator.engine, VllmEngine):
        check_adapter(generator.engine, knob)
    if isinstance(generator.engine, LOCAL):
        max_tokens = generator.sampling.max_tokens
        limit = f"{knob}.sampling.max_tokens"
        preview = check_prompts_fit(problems, generator, max_tokens=max_tokens, knob=knob, limit=limit)
        return preview and preview + _note_on_dtype(generator.engine, knob)
    if isinstance(generator.engine, ReplayEngine):
        from ded_ray.generate.engines.replay import check_covers

        check_covers(generator.engine, problems)
    if isinstance(generator.engine, OpenAIEngine):
        key_of(generator)
        return f"the endpoint counts its tokens: {generator.chat.messages(problems[0].prompt)}" if problems else None
    return None


def _note_on_dtype(engine: EngineConfig, knob: str) -> str:
    """A line that says so where vLLM would compute in float32 by our choice; nothing elsewhere."""
    from ded_ray.generate.engines.vllm import dtype_of

    if not isinstance(engine, VllmEngine) or dtype_of(engine) == engine.dtype:
        return ""
    return f"\n{knob}: vLLM computes in float32, because this CPU has no bfloat16; {knob}.engine.dtype says otherwise"


def check_adapter(engine: VllmEngine, knob: str) -> None:
    """Raise BadInput for a LoRA adapter that is not there."""
    if engine.lora and not (Path(engine.lora) / "adapter_config.json").is_file():
        raise BadInput(f"{knob}.engine.lora: {engine.lora} is not a folder of an adapter (it has no adapter_config.json)")


def check_prompts_fit(
    problems: list[Problem], generator: Generator, *, max_tokens: int, knob: str, limit: str
) -> str | None:
    """Raise BadInput for a model that cannot be found, or for the first prompt that leaves no room for an answer.

    `knob` is the part of the recipe that names the model, `limit` the knob that sets `max_tokens`, the longest answer.
    Returns the first prompt as the model sees it, with its number of tokens; None without problems.
    """
    chat, config = check_model(generator, knob)
    context = context_of(generator.engine, config)
    for problem in problems:
        if context is None:
            break
        num_tokens = len(chat.prompt_ids(problem.prompt))
        if num_tokens + max_tokens > context:
            raise BadInput(
                f"{problem.source}: the prompt of problem {problem.problem_id!r} has {num_tokens} tokens; with "
                f"{limit} {max_tokens} that is over the context of {generator.model} ({context}); remove or "
                f"shorten the problem, or lower max_tokens"
            )
    if not problems:
        return None
    first = chat.render_prompt(problems[0].prompt)
    return f"{len(chat.encode(first))} tokens: {first[:PREVIEW_CHARACTERS]!r}"


def check_model(generator: Generator, knob: str) -> tuple[ChatTokenizer, Any]:
    """The model's tokenizer with its chat, and its configuration.

    Raises BadInput for a model that cannot be found, has no chat template or no end token, or whose template loses the
    question.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    from jinja2 import TemplateError
    from transformers import AutoConfig
    from transformers.utils import logging

    logging.set_verbosity_error()  # it warns of the long prompt that is reported by others, in its own words
    try:
        ChatTokenizer(generator.model)
        config = AutoConfig.from_pretrained(model_path(generator.model))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(
            f"{knob}.model: {generator.model!r} cannot be loaded ({reason}); name a hub model, a folder in Hugging "
            f"Face format, or tiny/NAME"
        ) from error
    try:
        chat = ChatTokenizer(generator.model, generator.chat)
        prompt, _ = chat.render_prompt("WHAT?"), chat.end_id
    except (OSError, ValueError, TemplateError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{knob}.chat: {generator.model!r} cannot be asked ({reason}); set a template that fits") from error
    if "WHAT?" not in prompt:
        raise BadInput(f"{knob}.chat: its template leaves the question out (it makes {prompt[:80]!r}); set one that fits")
    return chat, config


def context_of(engine: EngineConfig, config: Any) -> int | None:
    """Tokens that an engine can hold with a model of this transformers configuration; None if neither says."""
    own: int | None = getattr(config.get_text_config(), "max_position_embeddings", None)
    return engine.max_model_len or own if isinstance(engine, VllmEngine) else own
