"""A model in vLLM's form: a deployment of ray.serve.llm, with the same engine as rollouts have."""

from typing import Any

from ded_ray.generate.engines.vllm import cpu_environment, engine_arguments
from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Chat, VllmEngine

OF_RAY = frozenset({"model", "distributed_executor_backend", "enable_lora", "disable_log_stats"})
"""Arguments of the engine that ray.serve.llm sets itself."""


def vllm_deployment(name: str, model: str, chat: Chat, engine: VllmEngine, replicas: dict[str, Any]) -> tuple[Any, Any]:
    """(the deployment, the card that /v1/models would show of it)"""
    from ray.llm._internal.serve.core.configs.openai_api_models import to_model_metadata
    from ray.serve.llm import LLMConfig, build_llm_deployment

    arguments = engine_arguments(model, engine)
    path = arguments["model"]
    engine_kwargs = {key: value for key, value in arguments.items() if key not in OF_RAY and value is not None}
    if chat != Chat():
        engine_kwargs["chat_template"] = ChatTokenizer(model, chat).template
    environment = {"RAYLLM_ENABLE_REQUEST_PROMPT_LOGS": "0", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    placement: dict[str, Any] = {}
    if engine.device == "cpu":
        environment |= cpu_environment(max(1, int(engine.num_cpus)))
        engine_kwargs["distributed_executor_backend"] = "mp"
        placement = {
            "accelerator_config": {"kind": "cpu"},
            "placement_group_config": {"bundle_per_worker": {"CPU": engine.num_cpus}},
        }
    config = LLMConfig(
        model_loading_config={"model_id": name, "model_source": path},
        engine_kwargs=engine_kwargs,
        deployment_config={"max_ongoing_requests": 4 * engine.max_num_seqs, **replicas},
        runtime_env={"env_vars": environment},
        experimental_configs={"stream_batching_interval_ms": 0},
        **placement,
    )
    return build_llm_deployment(config), to_model_metadata(name, config)
