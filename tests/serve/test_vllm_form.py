"""vLLM's form beside the embedded one, in one endpoint: the same client, unchanged."""

import openai
import pytest
from openai import OpenAI

from ded_ray.models.chat import ChatTokenizer
from ded_ray.recipe import Chat, Serve, VllmEngine
from ded_ray.serve.endpoint import Access, ServedModel
from ded_ray.serve.ray_serve import served
from jobs.bench.serve import make_model

TOKEN = "vllm-token"  # noqa: S105
ASK = {"messages": [{"role": "user", "content": "Reverse: 12"}], "max_tokens": 12, "seed": 1}


@pytest.mark.slow
def test_both_forms_by_name(ray_cluster, tmp_path):
    pytest.importorskip("vllm", reason="needs vLLM")
    make_model(tmp_path)
    engine = VllmEngine(device="cpu", dtype="float32", max_num_seqs=16, max_model_len=1024)
    template = ChatTokenizer(str(tmp_path)).template + "{{ hint }}"
    chat = Chat(system="Be brief.", template=template, template_arguments={"hint": ""})
    models = [ServedModel("v", str(tmp_path), chat, engine), ServedModel("e", str(tmp_path), chat)]
    with served(models, Serve(), access=Access("127.0.0.1", 0, TOKEN)) as url:
        client = OpenAI(base_url=url, api_key=TOKEN, max_retries=0)
        assert [model.id for model in client.models.list()] == ["v", "e"]
        greedy, prompt_tokens, hinted = {}, {}, {}
        for model in ("v", "e"):
            whole = client.chat.completions.create(**ASK, model=model, temperature=0, n=1)
            greedy[model], prompt_tokens[model] = whole.choices[0].message.content, whole.usage.prompt_tokens
            chunks = list(client.chat.completions.create(
                **ASK, model=model, temperature=0, stream=True, stream_options={"include_usage": True}
            ))  # fmt: skip
            streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
            assert (streamed, chunks[-1].usage.completion_tokens) == (greedy[model], whole.usage.completion_tokens)
            several = client.chat.completions.create(**ASK, model=model, n=3, logprobs=True, top_logprobs=2)
            assert [len(c.logprobs.content[0].top_logprobs) for c in several.choices] == [2, 2, 2]
            assert client.completions.create(model=model, prompt="Reverse: 12", max_tokens=3).usage.completion_tokens == 3
            for cut in ({"top_k": 1}, {"min_p": 1.0}):
                likeliest = client.chat.completions.create(**ASK, model=model, temperature=2.0, extra_body=cut)
                assert likeliest.choices[0].message.content == greedy[model]
            extra = {"chat_template_kwargs": {"hint": "Reverse", "of no template": 1}}
            hinted[model] = client.chat.completions.create(**ASK, model=model, extra_body=extra).usage.prompt_tokens
            for change in ({"temperature": -1}, {"messages": []}, {"n": 10**6}, {"stop": 5}):
                with pytest.raises(openai.BadRequestError):
                    client.chat.completions.create(**ASK | {"model": model} | change)
        assert greedy["v"] == greedy["e"], "the same weights, template and system message"
        assert prompt_tokens["v"] == prompt_tokens["e"] < hinted["v"] == hinted["e"]
        with pytest.raises(openai.AuthenticationError):
            OpenAI(base_url=url, api_key="another", max_retries=0).chat.completions.create(**ASK, model="v")
