import asyncio

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ded_ray.generate.engine import Request
from ded_ray.generate.engines.scripted import ScriptedModel
from ded_ray.generate.engines.transformers import TransformersModel
from ded_ray.generate.identity import group_seed
from ded_ray.models.load import model_path
from ded_ray.recipe import Sampling, ScriptedEngine
from ded_ray.tiny.problems import make_problems


def requests(prompts: list[str], **sampling) -> list[Request]:
    config = Sampling(**{"num_rollouts": 3, "max_tokens": 100} | sampling)
    return [Request([{"role": "user", "content": p}], config, 1000 * i) for i, p in enumerate(prompts)]


def answers(engine, asked: list[Request]):
    async def collect():
        return [answer async for answer in engine.generate(asked)]

    return asyncio.run(collect())


PROMPTS = ["Left to right, mod 10: 7+5*3", "Reverse: 482", "Left to right, mod 10: 1+2*3-4*5+6-7*8+9", "Sort: 93812"]


@pytest.fixture(scope="module")
def careful():
    return TransformersModel("tiny/careful")


@pytest.mark.parametrize("name", ["student", "careful", "terse", "rambling"])
def test_every_shipped_model_answers(name):
    [(_, rollouts)] = answers(TransformersModel(f"tiny/{name}"), requests(["Reverse: 4821"], temperature=0.01))
    assert [r.completion for r in rollouts] == ["\\boxed{1284}"] * 3


def test_a_group_is_the_same_whatever_else_is_in_its_batch():
    student = TransformersModel("tiny/student")
    together = {r.messages[0]["content"]: rollouts for r, rollouts in answers(student, requests(PROMPTS))}
    for request in requests(PROMPTS):
        [(_, alone)] = answers(student, [request])
        assert [r.completion for r in alone] == [r.completion for r in together[request.messages[0]["content"]]]
    assert len({r.completion for r in together[PROMPTS[2]]}) > 1, "different seeds give different rollouts"


def test_finish_reason_and_length_are_exact(careful):
    [(_, [short])] = answers(careful, requests(["Reverse: 4821"], num_rollouts=1, temperature=0.01))
    num_tokens = short.num_tokens
    assert short.finish_reason == "stop"
    [(_, [exact])] = answers(careful, requests(["Reverse: 4821"], num_rollouts=1, temperature=0.01, max_tokens=num_tokens))
    assert (exact.finish_reason, exact.num_tokens) == ("stop", num_tokens)
    [(_, [cut])] = answers(careful, requests(["Reverse: 4821"], num_rollouts=1, temperature=0.01, max_tokens=num_tokens - 1))
    assert (cut.finish_reason, cut.num_tokens) == ("length", num_tokens - 1)


def test_mean_logprob_is_the_models_own(careful):
    path = model_path("tiny/careful")
    tokenizer, model = AutoTokenizer.from_pretrained(path), AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    for request, rollouts in answers(careful, requests(PROMPTS[:3], temperature=1.5)):
        prompt = tokenizer.encode(careful.chat.render(request.messages), add_special_tokens=False)
        for rollout in rollouts:
            completion = [*tokenizer.encode(rollout.completion, add_special_tokens=False), tokenizer.eos_token_id]
            if rollout.finish_reason == "length" or len(completion) != rollout.num_tokens:
                continue  # bytes that are not text do not survive decoding
            with torch.no_grad():
                logprobs = model(torch.tensor([prompt + completion])).logits[0].log_softmax(-1)
            own = logprobs[len(prompt) - 1 : -1].gather(1, torch.tensor(completion)[:, None]).mean()
            assert rollout.mean_logprob == pytest.approx(float(own), abs=1e-4)


def test_sampling_follows_the_models_distribution(careful):
    """The Gumbel trick is exact: the frequencies of a first token agree with the softmax."""
    [(_, rollouts)] = answers(careful, requests(["Hello"], num_rollouts=600, max_tokens=1, temperature=2.0))
    tokenizer, model = careful.chat.tokenizer, careful._model
    ids = tokenizer(
        careful.chat.render([{"role": "user", "content": "Hello"}]), return_tensors="pt", add_special_tokens=False
    )
    with torch.no_grad():
        probabilities = (model(**ids).logits[0, -1] / 2.0).softmax(-1)
    top = int(probabilities.argmax())
    share = sum(r.completion == tokenizer.decode([top]) for r in rollouts) / 600
    expected = float(probabilities[top])
    assert abs(share - expected) < 4 * (expected * (1 - expected) / 600) ** 0.5 + 1e-9


def test_seeds_are_spaced():
    seeds = [group_seed(0, f"p{i}", "m") for i in range(1000)]
    assert min(b - a for a, b in zip(sorted(seeds), sorted(seeds)[1:], strict=False)) > 64
    assert group_seed(0, "p", "m") != group_seed(1, "p", "m")


def test_the_scripted_engine_errs_at_its_rate():
    problems = make_problems("chain", 200, (3, 6), 0)
    asked = [Request([], Sampling(), group_seed(0, p.problem_id, "m"), p) for p in problems]
    rollouts = [
        (r.problem, x)
        for r, xs in ScriptedModel(ScriptedEngine(error_rate=0.25, cut_off_rate=0.1)).generate(asked)
        for x in xs
    ]
    right = sum(f"\\boxed{{{p.answer}}}" in x.completion for p, x in rollouts if x.finish_reason == "stop")
    stopped = sum(x.finish_reason == "stop" for _, x in rollouts)
    assert stopped / len(rollouts) == pytest.approx(0.9, abs=0.03)
    assert right / stopped == pytest.approx(0.75, abs=0.04)
