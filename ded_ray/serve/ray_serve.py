"""Ray Serve entry point: a model behind an OpenAI-compatible endpoint while a block runs.

    with served("tiny/careful", "careful", recipe.serve) as url:
        OpenAI(base_url=url, api_key="none").chat.completions.create(model="careful", messages=[...])

The replicas are gone when the block ends.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from ray import serve

from ded_ray.recipe import Chat, Serve
from ded_ray.runtime.needs import serve_needs
from ded_ray.serve.transformers_app import Endpoint


@contextmanager
def served(model: str, served_name: str, config: Serve, *, chat: Chat | None = None, route: str = "") -> Iterator[str]:
    """Serve a model (hub name, folder or tiny/NAME) while the block runs; yields the endpoint's base URL.

    `chat` says how clients' messages are rendered; `route` is a prefix such as '/mine' that keeps endpoints of one cluster
    apart, '' is the root.

    The endpoint answers when the block begins, and its replicas are gone when it ends. Raises RuntimeError when they
    cannot start.
    """
    port, needs = _start_serve(config.port), serve_needs(config)
    endpoint = Endpoint.options(  # type: ignore[attr-defined]
        num_replicas=needs.most,
        max_ongoing_requests=1024,
        graceful_shutdown_wait_loop_s=0.1,
        ray_actor_options=needs.resources,
    ).bind(model, served_name, config, chat or Chat())
    app_name = f"ded_ray{route.replace('/', '-')}"
    serve.run(endpoint, name=app_name, route_prefix=route or "/")
    try:
        yield f"http://127.0.0.1:{port}{route}/v1"
    finally:
        serve.delete(app_name)


def _start_serve(port: int) -> int:
    """Start Serve on this port (0: a free one); where Serve runs already, its own port."""
    # The first start of a cluster decides; there is no public way to ask which port it took.
    client = serve.context._get_global_client(raise_if_no_controller_running=False)
    if client is None:
        if port == 0:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
        serve.start(http_options={"host": "127.0.0.1", "port": port}, logging_config={"log_level": "ERROR"})
        client = serve.context._get_global_client()
    return client.http_config.port
