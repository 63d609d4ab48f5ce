"""The embedded engine: `transformers` on the CPU or a GPU, with continuous batching and a random stream per rollout, so
that a group is the same whatever else is in its batch."""

from collections.abc import AsyncIterator
from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ded_ray.generate.engine import Answer, Request, as_they_come
from ded_ray.generate.engines.attention import use_grouped_attention
from ded_ray.generate.engines.continuous import ContinuousBatch, steps
from ded_ray.models.chat import ChatTokenizer
from ded_ray.models.load import model_path
from ded_ray.models.sampling import Row
from ded_ray.recipe import Chat
from ded_ray.records import Rollout

CPU_KV_CACHE_GIB = 4

UNLIMITED = 1 << 20
"""The context of a model that states none, in tokens."""


class TransformersModel:
    """An engine. `model` is a hub name, a Hugging Face folder or tiny/NAME; at most `max_rows` completions are computed at
    once, with at most `kv_cache_gib` for their keys and values."""

    def __init__(
        self,
        model: str,
        *,
        chat: Chat | None = None,
        num_threads: int = 1,
        use_gpu: bool = False,
        max_rows: int = 128,
        kv_cache_gib: float | None = None,
    ) -> None:
        torch.set_num_threads(num_threads)
        self.chat = ChatTokenizer(model, chat)
        loaded = AutoModelForCausalLM.from_pretrained(model_path(model), dtype=torch.bfloat16 if use_gpu else torch.float32)
        self._model = loaded.to("cuda" if use_gpu else "cpu").eval()
        use_grouped_attention(self._model)
        if kv_cache_gib is None:
            kv_cache_gib = torch.cuda.mem_get_info()[0] / 2 / 2**30 if use_gpu else CPU_KV_CACHE_GIB
        self.batch = ContinuousBatch(self._model, max_rows=max_rows, max_bytes=kv_cache_gib * 2**30)

    @property
    def context(self) -> int:
        """Tokens that the model can hold, prompt and completion together."""
        own: int | None = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        return own or UNLIMITED

    @property
    def num_embeddings(self) -> int:
        """Tokens that the model knows are 0 to this number, exclusive."""
        return int(self._model.get_input_embeddings().num_embeddings)

    async def generate(self, requests: list[Request]) -> AsyncIterator[Answer]:
        async for answer in as_they_come(self._answer, requests):
            yield answer

    async def _answer(self, request: Request) -> list[Rollout]:
        sampling, ends = request.sampling, self.end_ids
        rows = [
            Row(request.seed + i, sampling.max_tokens, ends, temperature=sampling.temperature, top_p=sampling.top_p)
            for i in range(sampling.num_rollouts)
        ]
        async for _ in steps([self.batch.submit(self.chat.message_ids(request.messages), rows)]):
            pass
        return [self._rollout(index, row) for index, row in enumerate(rows)]

    def _rollout(self, index: int, row: Row) -> Rollout:
        finish_reason: Any = row.finish_reason
        return Rollout(
            index=index,
            completion=self.chat.decode(row.tokens[:-1] if row.finish_reason == "stop" else row.tokens),
            num_tokens=len(row.tokens),
            finish_reason=finish_reason,
            seed=row.seed,
            mean_logprob=sum(row.logprobs) / len(row.logprobs),
        )

    @cached_property
    def end_ids(self) -> frozenset[int]:
        """Tokens that end an answer."""
        ids = self._model.generation_config.eos_token_id
        ids = [ids] if isinstance(ids, int) else list(ids or [])
        return frozenset({*ids, self.chat.tokenizer.eos_token_id, self.chat.end_id} - {None})
