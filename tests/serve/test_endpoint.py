"""A real model on a real Ray Serve, asked by OpenAI's own client."""

import openai
import pytest
from openai import OpenAI

from ded_ray.generate.engine import Request
from ded_ray.recipe import Sampling, Serve
from ded_ray.serve.ray_serve import served
from ded_ray.serve.transformers_app import in_chunks

ASK = {"model": "careful", "messages": [{"role": "user", "content": "Reverse: 4821"}], "max_tokens": 60}


@pytest.fixture(scope="module")
def client(ray_cluster):
    with served("tiny/careful", "careful", Serve(port=0)) as url:
        yield OpenAI(base_url=url, api_key="none", max_retries=0)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["careful"]


def test_chat(client):
    answer = client.chat.completions.create(**ASK, n=3, temperature=0, seed=1)
    assert [c.message.content for c in answer.choices] == ["\\boxed{1284}"] * 3
    assert {c.finish_reason for c in answer.choices} == {"stop"}
    assert answer.usage.completion_tokens == 3 * 7
    assert answer.usage.total_tokens == answer.usage.completion_tokens + answer.usage.prompt_tokens


def test_a_seed_repeats_and_a_limit_cuts_off(client):
    config = ASK | {
        "messages": [{"role": "user", "content": "Left to right, mod 10: 7+5*3-8*7+2"}],
        "temperature": 2.0,
        "n": 4,
    }
    first, again = (client.chat.completions.create(**config, seed=5) for _ in range(2))
    assert [c.message.content for c in first.choices] == [c.message.content for c in again.choices]
    assert len({c.message.content for c in first.choices}) > 1
    cut = client.chat.completions.create(**config | {"max_tokens": 2}, seed=5)
    assert {c.finish_reason for c in cut.choices} == {"length"}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"model": "gpt"}, 404, "'gpt' is not served here"),
        ({"temperature": -1}, 400, "temperature: Input should be greater"),
        ({"messages": []}, 400, "messages: List should have at least 1 item"),
        ({"presence_penalty": 1}, 400, "presence_penalty: not supported"),
        ({"messages": [{"role": "user", "content": "x" * 3000}]}, 400, "tokens, but the model's context is 2048"),
    ],
)
def test_errors_are_named(client, change, status, says):
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(**ASK | change)
    assert error.value.status_code == status
    assert says in error.value.message


def test_requests_share_a_batch_only_with_their_like():
    def request(n: int, temperature: float) -> Request:
        return Request([], Sampling(num_rollouts=n, temperature=temperature), 0)

    requests = [request(4, 1.0), request(4, 0.5), request(4, 1.0), request(4, 1.0), request(99, 1.0)]
    chunks = list(in_chunks(requests, max_rollouts=8))
    assert sorted(len(chunk) for chunk in chunks) == [1, 1, 1, 2]
    assert all(len({r.sampling for r in chunk}) == 1 for chunk in chunks)
