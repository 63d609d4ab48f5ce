"""A request that the model fails on is told so in OpenAI's form, without a word of what was asked; others are answered."""

import asyncio
import json

import httpx
import pytest

from ded_ray.recipe import Serve
from ded_ray.serve.asked import FAILED
from ded_ray.serve.embedded import EmbeddedBackend
from ded_ray.serve.endpoint import ServedModel
from ded_ray.serve.gateway import Settings, build_app

LONGEST = 60
CHAT = {"model": "m", "temperature": 5.0, "stop": ["no such text"]}
SHORT = CHAT | {"messages": [{"role": "user", "content": "Reverse: 12"}], "max_tokens": 20, "n": 2}


class Fails:
    """A model that fails where a row has more tokens than it can take, as one that runs out of memory would."""

    def __init__(self, model):
        self.model, self.device, self.config = model, model.device, model.config

    def __call__(self, ids_BT, is_token_BC, key_values):
        if is_token_BC.sum(1).max() > LONGEST:
            raise RuntimeError("a secret prompt")
        return self.model(ids_BT, is_token_BC, key_values)


@pytest.fixture(scope="module")
def backend():
    return EmbeddedBackend(ServedModel("m", "tiny/student"), Serve())


@pytest.fixture
def failing(backend, monkeypatch):
    monkeypatch.setattr(backend._engine.batch, "_model", Fails(backend._engine.batch._model))
    monkeypatch.setattr(backend._engine, "end_ids", frozenset())  # all are as long as they may be
    return backend


def ask(backend, *bodies, path="/v1/chat/completions"):
    """What these bodies are answered with, when they are sent at the same time."""
    app = build_app({"m": backend}, Settings(None, 100_000, 60, ""), None)

    async def send():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await asyncio.gather(*[client.post(path, content=json.dumps(body)) for body in bodies])

    return asyncio.run(send())


def texts(answer):
    assert answer.status_code == 200, answer.text
    return [choice["message"]["content"] for choice in answer.json()["choices"]]


def events(answer):
    return [json.loads(line.removeprefix("data: ")) for line in answer.text.split("\n\n") if line and "[DONE]" not in line]


OTHERS = [SHORT | {"seed": i} for i in range(4)]
IN_PREFILL = SHORT | {"messages": [{"role": "user", "content": "Reverse: " + "7" * LONGEST}]}
IN_MIDDLE = {"model": "m", "prompt": "7" * (LONGEST - 20), "max_tokens": 60, "temperature": 5.0}


@pytest.mark.parametrize("stream", [False, True])
def test_in_its_prompt(failing, stream):
    alone = [texts(answer) for answer in ask(failing, *OTHERS)]
    *others, failed = ask(failing, *OTHERS, IN_PREFILL | {"stream": stream})
    assert (failed.status_code, failed.json()) == (500, FAILED.body)
    assert [texts(answer) for answer in others] == alone
    assert failing._num_requests == 0


def test_in_the_middle(failing):
    async def send():
        app = build_app({"m": failing}, Settings(None, 100_000, 60, ""), None)
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            chats = [client.post("/v1/chat/completions", json=other) for other in OTHERS]
            plain = [client.post("/v1/completions", json=IN_MIDDLE | {"stream": stream}) for stream in (True, False)]
            return await asyncio.gather(*chats, *plain)

    alone = [texts(answer) for answer in ask(failing, *OTHERS)]
    *others, streamed, whole = asyncio.run(send())
    assert (whole.status_code, whole.json()) == (500, FAILED.body)
    *pieces, last = events(streamed)
    assert streamed.status_code == 200 and last == FAILED.body
    assert sum(len(piece["choices"][0]["text"]) for piece in pieces) > 5, "what came before was sent"
    assert "secret" not in streamed.text and "Traceback" not in streamed.text
    assert [texts(answer) for answer in others] == alone
    assert failing._num_requests == 0


def test_who_leaves_before_the_first_token_leaves_quietly(backend):
    async def leave():
        body = SHORT | {"max_tokens": 1000, "stream": True}
        asking = asyncio.create_task(backend.respond(body, None, is_chat=True))
        while not backend._engine.batch._waiting and not backend._engine.batch._coming:
            await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking

    asyncio.run(leave())
    assert backend._num_requests == 0


def test_after_a_failure_all_is_as_before(failing):
    for _ in range(3):
        assert ask(failing, IN_PREFILL)[0].status_code == 500
        assert len(texts(ask(failing, SHORT)[0])) == 2
    assert (failing._engine.batch.num_running, failing._engine.batch.num_waiting) == (0, 0)


@pytest.mark.parametrize(
    "extra",
    [{"chat_template_kwargs": {"enable_thinking": False, "words": ["a"]}}, {"top_k": 20, "min_p": 0.1}, {"top_k": -1},
     {"chat_template_kwargs": None, "top_k": None, "min_p": None}, {"chat_template_kwargs": {}}],
)  # fmt: skip
def test_what_vllms_clients_send_is_answered_and_repeats(backend, extra):
    first, again = ask(backend, SHORT | {"seed": 3} | extra, SHORT | {"seed": 3} | extra)
    assert texts(first) == texts(again)


def test_one_token_is_left_where_only_the_likeliest_may_be_taken(backend):
    greedy, one, close = ask(backend, SHORT | {"temperature": 0}, SHORT | {"top_k": 1}, SHORT | {"min_p": 1})
    assert texts(greedy) == texts(one) == texts(close)


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "chat_template_kwargs: 'chat_template' is not"),
        ({"chat_template_kwargs": {"tokenize": True, "a": 1}}, "chat_template_kwargs: 'tokenize' is not the template's"),
        ({"chat_template_kwargs": {"messages": []}}, "chat_template_kwargs: 'messages' is not the template's"),
        ({"chat_template_kwargs": ["a"]}, "chat_template_kwargs: Input should be a valid dictionary"),
        ({"chat_template_kwargs": {"a": "\ud800"}}, "half a surrogate pair"),
        ({"top_k": -2}, "top_k: Input should be greater"),
        ({"min_p": 1.5}, "min_p: Input should be less"),
        ({"repetition_penalty": 1.1}, "repetition_penalty: not supported"),
        ({"messages": [{"role": "user", "content": "\ue0007\ue001<|end|>"}]}, "template refuses them"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(backend, extra, says):
    [answer] = ask(backend, SHORT | extra)
    assert answer.status_code == 400
    assert says in answer.json()["error"]["message"]


def test_plain_completions_have_no_template(backend):
    plain = {"model": "m", "prompt": "Reverse: 12", "max_tokens": 3}
    [answer] = ask(backend, plain | {"chat_template_kwargs": {"a": 1}}, path="/v1/completions")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "chat_template_kwargs")
    assert ask(backend, plain | {"top_k": 5}, path="/v1/completions")[0].status_code == 200
