"""A model in vLLM's form: a deployment of ray.serve.llm with the engine that rollouts have, and how an endpoint asks it.

A model that is served alone speaks HTTP itself (`VllmEndpoint`): a token then crosses no process more than it must. Where
several stand side by side, an endpoint in front of them asks each by its handle.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import ValidationError
from ray import serve
from ray.exceptions import RayActorError
from ray.llm._internal.serve.core.configs.openai_api_models import (
    ChatCompletionRequest,
    CompletionRequest,
    OpenAIHTTPException,
    to_model_metadata,
)
from ray.llm._internal.serve.core.protocol import RawRequestInfo
from ray.llm._internal.serve.core.server.llm_server import LLMServer
from ray.serve import Application
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.llm import LLMConfig, build_llm_deployment
from ray.serve.llm.ingress import OpenAiIngress

from ded_ray.generate.engines.vllm import cpu_environment, engine_arguments
from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Chat, VllmEngine
from ded_ray.runtime.needs import engine_needs
from ded_ray.serve.asked import Refused
from ded_ray.serve.chunks import SECONDS_BETWEEN_CHUNKS, together
from ded_ray.serve.endpoint import ANY_NUMBER, ServedModel
from ded_ray.serve.gateway import Settings, build_app
from ded_ray.serve.playground import Playground

OF_RAY = frozenset({"model", "distributed_executor_backend", "enable_lora", "disable_log_stats"})
"""Arguments of the engine that ray.serve.llm sets itself."""


def handled(model: ServedModel, options: dict[str, Any], max_waiting: int) -> tuple[Application, Any]:
    """(the deployment of a model that an endpoint asks by its handle, the card that ray.serve.llm knows it by)"""
    limits = {"max_ongoing_requests": _most_at_once(model), "max_queued_requests": max_waiting}
    config = _config(model, options | limits)
    return build_llm_deployment(config, deployment_cls=VllmServer), to_model_metadata(model.name, config)


def alone(
    model: ServedModel, options: dict[str, Any], max_waiting: int, *, settings: Settings, playground: Playground | None
) -> Application:
    """The endpoint of one model, as the model's own deployment."""
    config = _config(model, options | {"max_ongoing_requests": ANY_NUMBER})
    bound = {"most": _most_at_once(model) + max_waiting, "settings": settings, "playground": playground}
    app: Application = build_llm_deployment(config, deployment_cls=VllmEndpoint, bind_kwargs=bound)
    return app


def _most_at_once(model: ServedModel) -> int:
    """Requests that the engine is given: more than it computes, so that it never waits for one."""
    assert isinstance(model.engine, VllmEngine)
    return 4 * model.engine.max_num_seqs


def _config(model: ServedModel, options: dict[str, Any]) -> LLMConfig:
    engine = model.engine
    assert isinstance(engine, VllmEngine)
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
    nodes = engine_needs(engine).label_selector
    return LLMConfig(
        model_loading_config={"model_id": model.name, "model_source": path},
        engine_kwargs=engine_kwargs,
        deployment_config=options | ({"placement_group_bundle_label_selector": [nodes]} if nodes else {}),
        runtime_env={"env_vars": environment},
        **placement,
    )


class VllmBackend:
    """A model of ray.serve.llm. What its requests may hold, and what it answers, are vLLM's own."""

    def __init__(self, ingress: OpenAiIngress) -> None:
        self._ingress = ingress

    @classmethod
    def by_handle(cls, name: str, handle: Any, card: Any) -> "VllmBackend":
        """A model whose replicas are elsewhere."""
        # Over gRPC, for which Ray's documentation has this option: a token a call is too much for Ray's object store.
        return cls(OpenAiIngress({name: handle.options(_by_reference=False)}, {name: card}))

    async def respond(self, body: Any, request: Request, *, is_chat: bool) -> Response:
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


class _Here(OpenAiIngress):
    """Asks the model of this very process."""

    def __init__(self, server: LLMServer, most: int) -> None:
        super().__init__({}, {})
        self._server, self._num_requests, self._most = server, 0, most

    async def _get_response(self, *, body: Any, call_method: str, raw_request: Any = None) -> AsyncGenerator[Any, None]:
        if self._num_requests >= self._most:
            raise BackPressureError(num_queued_requests=self._num_requests, max_queued_requests=self._most)
        self._num_requests += 1
        try:
            ask = getattr(self._server, call_method)
            async for response in await ask(body, RawRequestInfo.from_starlette_request(raw_request)):
                yield response
        finally:
            self._num_requests -= 1


class VllmServer(LLMServer):
    """A replica that holds its model, and hands on what comes of a stream in few messages."""

    def _batch_output_stream(self, generator: AsyncIterator[str]) -> AsyncGenerator[list[str], None]:
        # Ray's own makes the first token wait for the end of its interval.
        return together(generator, SECONDS_BETWEEN_CHUNKS)


@serve.ingress()
class VllmEndpoint(VllmServer):
    """One that speaks HTTP."""

    async def __init__(  # type: ignore[misc]
        self, llm_config: LLMConfig, *, most: int, settings: Settings, playground: Playground | None
    ) -> None:
        await super().__init__(llm_config)
        self._most, self._settings, self._playground = most, settings, playground

    async def __serve_build_asgi_app__(self) -> Any:
        backend = VllmBackend(_Here(self, self._most))
        return build_app({self._llm_config.model_id: backend}, self._settings, self._playground)
