"""Ray Serve entry point: models behind one OpenAI-compatible endpoint while a block runs.

    careful = ServedModel("careful", "tiny/careful")
    with served([careful], recipe.serve, access=LOCAL) as url:
        OpenAI(base_url=url, api_key="none").chat.completions.create(model="careful", messages=[...])

An endpoint's replicas speak HTTP (`gateway.py`) and hold its models themselves, in the embedded form (`embedded.py`) or in
vLLM's (`vllm_app.py`, deployments of ray.serve.llm). Only where a model in vLLM's form stands beside others, the endpoint
stands in front of it.
"""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx
import ray
from ray import serve
from ray.serve import Application

from ded_ray.errors import BadInput, Stopped
from ded_ray.recipe import Serve, VllmEngine
from ded_ray.runtime.needs import GATEWAY, Needs, serve_needs
from ded_ray.serve.endpoint import ANY_NUMBER, Access, ServedModel
from ded_ray.serve.gateway import Backend, Settings, build_app
from ded_ray.serve.playground import Playground

SECONDS_UNTIL_ROUTED = 60
"""A proxy learns of an application a moment after it runs."""

SECONDS_WITHOUT_A_WORD = 60


@serve.deployment
@serve.ingress()
class Endpoint:
    """A replica: it holds the models of the embedded form itself, and asks those of vLLM's form by their handles."""

    def __init__(
        self, models: Mapping[str, Any], config: Serve, *, settings: Settings, playground: Playground | None
    ) -> None:
        self._backends = {name: _backend(name, found, config) for name, found in models.items()}
        self._settings, self._playground = settings, playground

    def __serve_build_asgi_app__(self) -> Any:
        return build_app(self._backends, self._settings, self._playground)


def _backend(name: str, found: Any, config: Serve) -> Backend:
    if isinstance(found, ServedModel):
        from ded_ray.serve.embedded import EmbeddedBackend

        return EmbeddedBackend(found, config)
    from ded_ray.serve.vllm_app import VllmBackend

    return VllmBackend.by_handle(name, *found)


def application(
    models: Sequence[ServedModel], config: Serve, *, settings: Settings, playground: Playground | None = None
) -> Application:
    """The endpoint of these models as an application of Ray Serve, for `serve.run` and whatever else takes one."""
    needs, most = serve_needs(config), config.max_queued_requests
    ending = {"graceful_shutdown_wait_loop_s": 0.1, "graceful_shutdown_timeout_s": config.drain_seconds}
    bound: dict[str, Any] = {}
    for model in models:
        engine, bound[model.name] = config.engine or model.engine, model
        if isinstance(engine, VllmEngine):
            from ded_ray.serve import vllm_app

            asked, options = replace(model, engine=engine), _replicas(needs, engine.max_num_seqs) | ending
            if len(models) == 1:
                return vllm_app.alone(asked, options, most, settings=settings, playground=playground)
            bound[model.name] = vllm_app.handled(asked, options, most)
    holds_models = any(isinstance(found, ServedModel) for found in bound.values())
    endpoint = Endpoint.options(  # type: ignore[attr-defined]
        max_ongoing_requests=ANY_NUMBER,  # the models say what is too much, in a way that clients understand
        ray_actor_options=(needs if holds_models else GATEWAY).resources,
        **_replicas(needs, config.max_batch_size),
        **ending,
    )
    app: Application = endpoint.bind(bound, config, settings=settings, playground=playground)
    return app


def _replicas(needs: Needs, requests_each: int) -> dict[str, Any]:
    if needs.least == needs.most:
        return {"num_replicas": needs.most}
    scaling = {"min_replicas": needs.least, "max_replicas": needs.most, "target_ongoing_requests": requests_each}
    return {"autoscaling_config": scaling}


@contextmanager
def served(
    models: Sequence[ServedModel], config: Serve, *, access: Access, playground: Playground | None = None
) -> Iterator[str]:
    """Serve these models while the block runs; yields the endpoint's base URL, which answers when the block begins.

    Raises BadInput for a port or a path that is taken, and Stopped when the models do not start.
    """
    host, port = _start_serve(access)
    name = f"ded_ray{access.route.replace('/', '-')}"
    if name in serve.status().applications:
        raise BadInput(
            f"serve: {access.route or '/'} is served already on this Ray cluster, at port {port}; stop that first"
        )
    settings = Settings.of(config, access.token)
    app = application(models, config, settings=settings, playground=playground)
    try:
        try:
            with _waiting_told(name):
                serve.run(app, name=name, route_prefix=access.route or "/")
        except RuntimeError as error:
            raise Stopped(f"serve: {_why_not_started(name, str(error))}") from error
        url = f"http://{_reachable(host)}:{port}{access.route}"
        _wait_for(url, access.token, settings.nonce)
        yield f"{url}/v1"
    finally:
        with contextlib.suppress(Exception):  # the boundary: Ray itself may be gone, and what ended the block matters more
            serve.delete(name)


def _start_serve(access: Access) -> tuple[str, int]:
    """Start Serve there; where it runs already on this Ray cluster, (its own host, its own port).

    The first start of a cluster decides where all endpoints are. One that serves nothing any more is begun anew.
    """
    client = _running()
    if client is not None and (reason := _why_not_there(access, client.http_config)):
        if serve.status().applications:
            raise BadInput(f"serve: {reason}")
        serve.shutdown()
        client = None
    if client is None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((access.host, access.port))
            except OSError as error:
                why = error.strerror or error
                raise BadInput(f"serve: {access.host}:{access.port}: {why}; --port 0 takes a free one") from error
            port = probe.getsockname()[1]
        serve.start(http_options={"host": access.host, "port": port}, logging_config={"log_level": "ERROR"})
        client = _running()
    return client.http_config.host, client.http_config.port


def _running() -> Any:
    """The client of the Serve of this Ray cluster; None if there is none. There is no public way to ask where it listens."""
    return serve.context._get_global_client(raise_if_no_controller_running=False)


def _why_not_there(access: Access, running: Any) -> str | None:
    """Why an endpoint cannot be where Serve runs; None if it can."""
    if access.port not in {0, running.port}:
        return f"Ray Serve runs already on this cluster, at port {running.port}; take --port {running.port}, or stop it"
    return None if access.token else _why_a_token(running)


def _why_a_token(running: Any) -> str | None:
    if Access(running.host, 0).is_local:
        return None
    return f"Ray Serve on this cluster listens on {running.host}, for others too: an endpoint there needs a token"


def check_token(token: str) -> None:
    """Raise BadInput if an endpoint without this token would be open to others where Serve runs."""
    client = _running()
    if not token and client is not None and (reason := _why_a_token(client.http_config)):
        raise BadInput(f"serve: {reason}")


def _reachable(host: str) -> str:
    """A name of the endpoint's host that other nodes know too, unless it is for this machine alone."""
    if Access(host, 0).is_local:
        return host
    proxies = serve.status().proxies
    addresses = {node["NodeID"]: node["NodeManagerAddress"] for node in ray.nodes() if node["Alive"]}
    own = ray.get_runtime_context().get_node_id()
    return str(addresses[own if own in proxies else next(iter(proxies))])


def _wait_for(url: str, token: str, nonce: str) -> None:
    """Until the endpoint answers, and is this one. Raises Stopped."""
    headers, found = {"Authorization": f"Bearer {token}"} if token else {}, ""
    until = time.monotonic() + SECONDS_UNTIL_ROUTED
    while time.monotonic() < until:
        try:
            found = httpx.get(f"{url}/health", headers=headers, timeout=10).text
        except httpx.HTTPError as error:
            found = str(error)
        if nonce in found:
            return
        time.sleep(0.1)
    raise Stopped(f"serve: {url} answers not as this endpoint does ({found[:200]}); is another program on that port?")


@contextmanager
def _waiting_told(name: str) -> Iterator[None]:
    """Say now and then what the application waits for while this block does: on a cluster that may be for a machine."""
    is_over = threading.Event()

    def tell() -> None:
        while not is_over.wait(SECONDS_WITHOUT_A_WORD):
            for message in _messages(name):
                print(f"serve: {' '.join(message.split())}", file=sys.stderr)

    threading.Thread(target=tell, daemon=True).start()
    try:
        yield
    finally:
        is_over.set()


def _messages(name: str) -> list[str]:
    """What Ray Serve says of the application's deployments."""
    status = serve.status().applications.get(name)
    return [deployment.message for deployment in status.deployments.values() if deployment.message] if status else []


def _why_not_started(name: str, error: str) -> str:
    """The last line of what a model's replica said."""
    messages = _messages(name)
    lines = [line for line in (messages or [error])[0].splitlines() if line.strip()]
    return lines[-1].strip()[:400] if lines else error[:400]
