"""The token and the size of a body, on every path, before anything is read."""

import asyncio
import base64

import httpx
import pytest
from fastapi.responses import JSONResponse

from ded_ray.serve.gateway import Backend, Settings, build_app
from ded_ray.serve.guard import digest

TOKEN = "a-token"  # noqa: S105


class Echo(Backend):
    async def respond(self, body, _, *, is_chat):
        return JSONResponse({"got": len(str(body)), "chat": is_chat})


def ask(method, path, *, token=TOKEN, **options):
    app = build_app({"m": Echo()}, Settings(digest(TOKEN), 1000, 5, "nonce"), None)
    headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def send():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.request(method, path, headers=headers | options.pop("headers", {}), **options)

    return asyncio.run(send())


PATHS = [("GET", "/v1/models"), ("GET", "/health"), ("GET", "/"), ("POST", "/v1/chat/completions"), ("GET", "/nowhere"),
         ("GET", "/openapi.json"), ("OPTIONS", "/v1/models"), ("POST", "/v1/completions")]  # fmt: skip


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("wrong", ["", "another", TOKEN + "x", TOKEN[:-1], "é"])
def test_no_path_is_open(method, path, wrong):
    headers = {"Authorization": f"Bearer {wrong}".encode()} if wrong else {}
    answer = ask(method, path, token="", headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert "Basic" in answer.headers["www-authenticate"], "a browser asks for it"


def test_the_right_token_passes_as_bearer_and_as_a_browser_sends_it():
    assert ask("GET", "/v1/models").json()["data"][0]["id"] == "m"
    basic = base64.b64encode(f"me:{TOKEN}".encode()).decode()
    assert ask("GET", "/health", token="", headers={"Authorization": f"Basic {basic}"}).status_code == 200
    assert ask("GET", "/health", token="", headers={"Authorization": "Basic ???"}).status_code == 401


def test_the_token_itself_is_not_in_the_settings():
    assert TOKEN not in repr(Settings(digest(TOKEN), 1, 1, ""))


def test_a_large_body_is_refused_whatever_its_headers_say():
    chat = "/v1/chat/completions"
    assert ask("POST", chat, json={"model": "m"}).json() == {"got": 14, "chat": True}
    assert ask("POST", chat, content=b"x" * 1001).status_code == 413
    assert ask("POST", chat, content=_pieces()).status_code == 413


async def _pieces():
    for _ in range(5):
        yield b"x" * 300


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"model": "m"', "not JSON"),
        (b"", "not JSON"),
        (b'{"model": "\xff"}', "not UTF-8"),
        (b'{"model": "m", "temperature": NaN}', "NaN is no number"),
        (b"[" * 900, "not JSON"),
        (b'{"model": "m", "prompt": "\\ud800"}', "half a surrogate pair"),
        (b'{"model": "m", "\\uDC00": "\\ud83d\\ude00"}', "half a surrogate pair"),
        (b"[]", "model: say which"),
        (b'{"model": "other"}', "not served here"),
    ],
)
def test_what_is_no_request_is_told_so(body, says):
    answer = ask("POST", "/v1/completions", content=body)
    assert answer.status_code in {400, 404}
    assert says in answer.json()["error"]["message"]


def test_both_halves_of_a_surrogate_pair_are_a_character():
    body = b'{"model": "m", "prompt": "\\ud83d\\ude00 \\\\ud800"}'
    assert ask("POST", "/v1/completions", content=body).status_code == 200


def test_unknown_paths_and_methods_answer_in_openais_form():
    assert ask("GET", "/v1/nothing").status_code == 404
    assert ask("GET", "/v1/completions").status_code == 405
    for path in ("/v1/nothing", "/v1/completions"):
        assert ask("GET", path).json()["error"]["type"] == "invalid_request_error"


def test_what_takes_too_long_is_ended():
    class Slow(Echo):
        async def respond(self, *_, **__):
            await asyncio.sleep(60)

    app = build_app({"m": Slow()}, Settings(None, 1000, 0.05, ""), None)

    async def send():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.post("/v1/completions", json={"model": "m"})

    answer = asyncio.run(send())
    assert (answer.status_code, answer.json()["error"]["message"]) == (504, "not answered within 0.05 s")


def test_a_failure_tells_nothing_of_what_was_asked():
    class Broken(Echo):
        async def respond(self, *_, **__):
            raise RuntimeError("a secret prompt")

    app = build_app({"m": Broken()}, Settings(None, 1000, 5, ""), None)

    async def send():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.post("/v1/completions", json={"model": "m"})

    answer = asyncio.run(send())
    assert answer.status_code == 500 and "secret" not in answer.text
