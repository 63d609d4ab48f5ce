"""A model in vLLM's form: a deployment of ray.serve.llm with the engine that rollouts have, and how an endpoint asks it."""

from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import ValidationError
from ray.exceptions import RayActorError

from ded_ray.generate.engines.vllm import cpu_environment, engine_arguments
from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Chat, VllmEngine
from ded_ray.serve.asked import Refused
from ded_ray.serve.endpoint import ServedModel

OF_RAY = frozenset({"model", "distributed_executor_backend", "enable_lora", "disable_log_stats"})
"""Arguments of the engine that ray.serve.llm sets itself."""


def vllm_deployment(model: ServedModel, options: dict[str, Any]) -> tuple[Any, Any]:
    """(the deployment of a model whose engine is vLLM's, the card that ray.serve.llm knows it by)"""
    engine = model.engine
    assert isinstance(engine, VllmEngine)
    from ray.llm._internal.serve.core.configs.openai_api_models import to_model_metadata
    from ray.serve.llm import LLMConfig, build_llm_deployment

    arguments = engine_arguments(model.model, engine)
    path = arguments["model"]
    engine_kwargs = {key: value for key, value in arguments.items() if key not in OF_RAY and value is not None}
    if model.chat != Chat():
        engine_kwargs["chat_template"] = ChatTokenizer(model.model, model.chat).template
    environment = {"RAYLLM_ENABLE_REQUEST_PROMPT_LOGS": "0", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    placement: dict[str, Any] = {}
    if engine.device == "cpu":
        environment |= cpu_environment(max(1, int(engine.num_cpus)))
        if engine.tensor_parallel * engine.pipeline_parallel == 1:
            environment["RAYLLM_VLLM_ENGINE_CLS"] = "ded_ray.serve.one_process.OneProcessEngine"
        engine_kwargs["distributed_executor_backend"] = "mp"
        placement = {
            "accelerator_config": {"kind": "cpu"},
            "placement_group_config": {"bundle_per_worker": {"CPU": engine.num_cpus}},
        }
    config = LLMConfig(
        model_loading_config={"model_id": model.name, "model_source": path},
        engine_kwargs=engine_kwargs,
        deployment_config={"max_ongoing_requests": 4 * engine.max_num_seqs, **options},
        runtime_env={"env_vars": environment},
        experimental_configs={"stream_batching_interval_ms": 0},
        **placement,
    )
    return build_llm_deployment(config), to_model_metadata(model.name, config)


class VllmBackend:
    """A model of ray.serve.llm. What its requests may hold, and what it answers, are vLLM's own."""

    def __init__(self, name: str, handle: Any, card: Any) -> None:
        from ray.serve.llm.ingress import OpenAiIngress

        # Over gRPC, for which Ray's documentation has this option: a token a call is too much for Ray's object store.
        self._ingress = OpenAiIngress({name: handle.options(_by_reference=False)}, {name: card})

    async def respond(self, body: Any, request: Request, *, is_chat: bool) -> Response:
        from ray.llm._internal.serve.core.configs.openai_api_models import (
            ChatCompletionRequest,
            CompletionRequest,
            OpenAIHTTPException,
        )
        from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

        try:
            if is_chat:
                return await self._ingress.chat(ChatCompletionRequest.model_validate(body), request)
            return await self._ingress.completions(CompletionRequest.model_validate(body), request)
        except BackPressureError as error:
            raise Refused("too many requests wait already", status=429, kind="rate_limit_error") from error
        except (RayActorError, DeploymentUnavailableError) as error:
            raise Refused("the model is being started again", status=503, kind="server_error") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise Refused(f"{where}: {first['msg']}", where) from error
        except OpenAIHTTPException as error:
            raise Refused(str(error.message)[:500], status=error.status_code) from error
