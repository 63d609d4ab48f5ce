"""Real models on a real Ray Serve, asked by OpenAI's own client."""

import openai
import pytest
from openai import OpenAI

from ded_ray.recipe import Serve
from ded_ray.serve.endpoint import LOCAL, ServedModel
from ded_ray.serve.ray_serve import served

ASK = {"model": "careful", "messages": [{"role": "user", "content": "Reverse: 4821"}], "max_tokens": 60}
CHAIN = [{"role": "user", "content": "Left to right, mod 10: 7+5*3-8*7+2"}]


@pytest.fixture(scope="module")
def client(ray_cluster):
    models = [ServedModel("careful", "tiny/careful"), ServedModel("student", "tiny/student")]
    with served(models, Serve(), access=LOCAL) as url:
        yield OpenAI(base_url=url, api_key="none", max_retries=0)


def test_models(client):
    assert [model.id for model in client.models.list()] == ["careful", "student"]
    assert client.models.retrieve("student").id == "student"


def test_chat(client):
    answer = client.chat.completions.create(**ASK, n=3, temperature=0, seed=1)
    assert [c.message.content for c in answer.choices] == ["\\boxed{1284}"] * 3
    assert {c.finish_reason for c in answer.choices} == {"stop"}
    assert answer.usage.completion_tokens == 3 * 7
    assert answer.usage.total_tokens == answer.usage.completion_tokens + answer.usage.prompt_tokens


def test_a_seed_repeats_and_a_limit_cuts_off(client):
    config = ASK | {"messages": CHAIN, "temperature": 2.0, "n": 4}
    first, again = (client.chat.completions.create(**config, seed=5) for _ in range(2))
    assert [c.message.content for c in first.choices] == [c.message.content for c in again.choices]
    assert len({c.message.content for c in first.choices}) > 1
    cut = client.chat.completions.create(**config | {"max_tokens": 2}, seed=5)
    assert {c.finish_reason for c in cut.choices} == {"length"}


def test_a_stream_is_the_whole_answer_in_pieces(client):
    config = ASK | {"messages": CHAIN, "n": 2, "seed": 5, "temperature": 1.0}
    whole = client.chat.completions.create(**config)
    chunks = list(client.chat.completions.create(**config, stream=True, stream_options={"include_usage": True}))
    texts, reasons = ["", ""], [None, None]
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            reasons[choice.index] = choice.finish_reason or reasons[choice.index]
    assert texts == [choice.message.content for choice in whole.choices]
    assert reasons == [choice.finish_reason for choice in whole.choices]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage and chunks[-1].choices == []
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_stop_text_ends_an_answer_and_is_left_out(client):
    [whole] = client.chat.completions.create(**ASK, temperature=0).choices
    config = ASK | {"temperature": 0, "stop": ["{128", "nothing like it"]}
    [stopped] = client.chat.completions.create(**config).choices
    assert (stopped.message.content, stopped.finish_reason) == (whole.message.content.partition("{128")[0], "stop")
    streamed = [chunk.choices[0] for chunk in client.chat.completions.create(**config, stream=True)]
    assert "".join(choice.delta.content or "" for choice in streamed) == stopped.message.content


def test_logprobs(client):
    answer = client.chat.completions.create(**ASK, temperature=0, logprobs=True, top_logprobs=2)
    content = answer.choices[0].logprobs.content
    assert len(content) == answer.usage.completion_tokens
    for token in content:
        assert token.token == token.top_logprobs[0].token, "without temperature the likeliest is chosen"
        assert token.logprob == token.top_logprobs[0].logprob >= token.top_logprobs[1].logprob
    plain = client.chat.completions.create(**ASK, temperature=0)
    assert plain.choices[0].logprobs is None


def test_plain_completions(client):
    prompts = ["Reverse: 12", "Reverse: 345"]
    answer = client.completions.create(model="student", prompt=prompts, n=2, max_tokens=5, seed=3, logprobs=1)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert all(len(choice.logprobs.tokens) <= 5 for choice in answer.choices)
    alone = client.completions.create(model="student", prompt=prompts[1], n=2, max_tokens=5, seed=3)
    assert [c.text for c in alone.choices] == [c.text for c in answer.choices[2:]]
    chunks = client.completions.create(model="student", prompt=prompts[1], max_tokens=5, seed=3, stream=True)
    assert "".join(chunk.choices[0].text for chunk in chunks) == alone.choices[0].text


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": None, "top_p": None, "n": None, "stop": None, "stream": None, "tools": None, "logprobs": None},
        {"frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}, "logprobs": False, "tools": []},
        {"response_format": {"type": "text"}, "user": "me", "metadata": {"a": "b"}, "seed": -(2**70)},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Reverse:"}, {"type": "text", "text": " 4"}]}]},
        {"messages": [{"role": "developer", "content": "Be brief."}, *CHAIN, {"role": "assistant", "content": None}]},
        {"max_tokens": 10**9},
        {"top_k": 20, "min_p": 0.05, "chat_template_kwargs": {"enable_thinking": False}},
        {"messages": CHAIN * 3, "stop": ""},
    ],
)  # fmt: skip
def test_what_clients_send_is_answered(client, change):
    answer = client.chat.completions.create(**ASK | {"temperature": 0} | {"extra_body": change})
    assert answer.choices[0].finish_reason in {"stop", "length"}


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"model": "gpt"}, 404, "'gpt' is not served here"),
        ({"model": 5}, 400, "model: say which"),
        ({"temperature": -1}, 400, "temperature: Input should be greater"),
        ({"messages": []}, 400, "messages: List should have at least 1 item"),
        ({"messages": [{"role": "king", "content": "x"}]}, 400, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, "only parts of type 'text'"),
        ({"presence_penalty": 1}, 400, "presence_penalty: not supported"),
        ({"tools": [{"type": "function"}]}, 400, "tools: not supported"),
        ({"repetition_penalty": 1.1}, 400, "repetition_penalty: not supported"),
        ({"top_logprobs": 5}, 400, "top_logprobs: needs logprobs"),
        ({"max_tokens": 0}, 400, "max_tokens: Input should be greater"),
        ({"n": 10**6}, 400, "n: Input should be less"),
        ({"messages": [{"role": "user", "content": "x" * 3000}]}, 400, "tokens, but the model's context is 2048"),
        ({"messages": [{"role": "user", "content": "7 " * 1_000_000}]}, 400, "the model's context is 2048"),
    ],
)
def test_errors_are_named(client, change, status, says):
    with pytest.raises(openai.APIStatusError) as error:
        client.chat.completions.create(**ASK | {"extra_body": change})
    assert error.value.status_code == status
    assert says in error.value.message


def test_an_answer_has_the_id_of_its_request(client):
    ask = {"model": "careful", "messages": [{"role": "user", "content": "Reverse: 12"}], "max_tokens": 2}
    answered = client.chat.completions.with_raw_response.create(**ask, extra_headers={"x-request-id": "of-the-client"})
    assert answered.headers["x-request-id"] == "of-the-client"
    assert client.chat.completions.with_raw_response.create(**ask).headers["x-request-id"]
