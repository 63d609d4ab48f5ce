"""vLLM's form, alone and beside the embedded one in one endpoint: the same client, unchanged."""

import json
import socket
import threading
import time

import httpx
import openai
import psutil
import pytest
from openai import OpenAI

from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Chat, Serve, VllmEngine
from ded_ray.serve.endpoint import LOCAL, Access, ServedModel
from ded_ray.serve.ray_serve import served
from jobs.bench.closed_loop import make_model

TOKEN = "vllm-token"  # noqa: S105
ACCESS = Access("127.0.0.1", 0, TOKEN)
ASK = {"messages": [{"role": "user", "content": "Reverse: 12"}], "max_tokens": 12, "seed": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    pytest.importorskip("vllm", reason="needs vLLM")
    folder = tmp_path_factory.mktemp("model")
    make_model(folder)
    engine = VllmEngine(device="cpu", dtype="float32", max_num_seqs=16, max_model_len=1024)
    template = ChatTokenizer(str(folder)).template + "{{ hint }}"
    chat = Chat(system="Be brief.", template=template, template_arguments={"hint": ""})
    return ServedModel("v", str(folder), chat, engine)


def walk(client: OpenAI, name: str) -> tuple[str, int, int]:
    """All that a client may ask; (the greedy answer, tokens of the prompt, tokens of the prompt with a hint)"""
    whole = client.chat.completions.create(**ASK, model=name, temperature=0, n=1)
    greedy = whole.choices[0].message.content
    chunks = list(client.chat.completions.create(
        **ASK, model=name, temperature=0, stream=True, stream_options={"include_usage": True}
    ))  # fmt: skip
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert (streamed, chunks[-1].usage.completion_tokens) == (greedy, whole.usage.completion_tokens)
    several = client.chat.completions.create(**ASK, model=name, n=3, logprobs=True, top_logprobs=2)
    assert [len(c.logprobs.content[0].top_logprobs) for c in several.choices] == [2, 2, 2]
    assert client.completions.create(model=name, prompt="Reverse: 12", max_tokens=3).usage.completion_tokens == 3
    for cut in ({"top_k": 1}, {"min_p": 1.0}):
        likeliest = client.chat.completions.create(**ASK, model=name, temperature=2.0, extra_body=cut)
        assert likeliest.choices[0].message.content == greedy
    parts = [{"role": "user", "content": [{"type": "text", "text": "Reverse: 12"}]}]
    in_parts = client.chat.completions.create(**ASK | {"messages": parts}, model=name, temperature=0)
    assert in_parts.choices[0].message.content == greedy
    extra = {"chat_template_kwargs": {"hint": "Reverse", "of no template": 1}}
    hinted = client.chat.completions.create(**ASK, model=name, extra_body=extra)
    for change in ({"temperature": -1}, {"messages": []}, {"n": 10**6}, {"stop": 5}):
        with pytest.raises(openai.BadRequestError):
            client.chat.completions.create(**ASK | {"model": name} | change)
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(**ASK, model="another")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="another").chat.completions.create(**ASK, model=name)
    return greedy, whole.usage.prompt_tokens, hinted.usage.prompt_tokens


@pytest.mark.slow
def test_both_forms_by_name(ray_cluster, model):
    embedded = ServedModel("e", model.model, model.chat)
    with served([model, embedded], Serve(), access=ACCESS) as url:
        client = OpenAI(base_url=url, api_key=TOKEN, max_retries=0)
        assert [found.id for found in client.models.list()] == ["v", "e"]
        by_vllm, by_us = walk(client, "v"), walk(client, "e")
        assert by_vllm == by_us, "the same weights, template and system message"
        assert by_vllm[1] < by_vllm[2]
    with served([model], Serve(), access=ACCESS) as url:
        client = OpenAI(base_url=url, api_key=TOKEN, max_retries=0)
        assert [found.id for found in client.models.list()] == ["v"]
        assert walk(client, "v") == by_us


def process_of(name: str) -> psutil.Process:
    processes = psutil.process_iter(["cmdline", "name"])
    [found] = [p for p in processes if name in " ".join([*(p.info["cmdline"] or []), p.info["name"]])]
    return found


@pytest.mark.slow
def test_alone_it_refuses_a_crowd_ends_what_nobody_waits_for_and_comes_back(ray_cluster, model):
    engine = model.engine.model_copy(update={"max_num_seqs": 1})
    small = ServedModel("v", model.model, engine=engine)
    long = ASK | {"model": "v", "max_tokens": 900}
    with served([small], Serve(max_queued_requests=1), access=LOCAL) as url:
        statuses: list[int] = []

        def ask() -> None:
            response = httpx.post(f"{url}/chat/completions", json=long | {"max_tokens": 100}, timeout=100)
            statuses.append(response.status_code)
            assert response.status_code == 200 or response.headers["retry-after"] == "1"

        crowd = [threading.Thread(target=ask) for _ in range(12)]
        for one in crowd:
            one.start()
        for one in crowd:
            one.join()
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 5, "four in the engine and one that waits"

        address, computing = httpx.URL(url), process_of("VLLM::EngineCore")
        for stream in (True, False):
            body = json.dumps(long | {"stream": stream}).encode()
            head = f"POST {address.path}/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            with socket.create_connection((address.host, address.port)) as client:
                client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
                time.sleep(1)
            time.sleep(1.5)
            before = computing.cpu_times().user
            time.sleep(2)
            assert computing.cpu_times().user - before < 0.8, "it still computes"

        process_of("ServeReplica:ded_ray:VllmEndpoint").kill()
        until, answered = time.monotonic() + 120, 0
        while answered != 200 and time.monotonic() < until:
            try:
                answered = httpx.post(f"{url}/chat/completions", json=ASK | {"model": "v"}, timeout=60).status_code
            except httpx.HTTPError:
                time.sleep(0.5)
        assert answered == 200
