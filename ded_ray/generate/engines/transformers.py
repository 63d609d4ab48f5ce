"""The embedded engine: batched, left-padded `transformers` generation on the CPU or a GPU."""

from collections.abc import Iterator

import torch
from transformers import AutoModelForCausalLM, LogitsProcessor, LogitsProcessorList
from transformers.generation.logits_process import TopPLogitsWarper

from ded_ray.generate.engine import Request
from ded_ray.models.chat import ChatTokenizer, Message
from ded_ray.models.load import model_path
from ded_ray.recipe import Chat
from ded_ray.records import Rollout

UNLIMITED = 1 << 20
"""The context of a model that states none, in tokens."""


class SeededSampling(LogitsProcessor):
    """Samples with one random stream per rollout, so that a group is the same whatever else is in its batch.

    Adds Gumbel noise to the log-probabilities and leaves the choice to argmax, which is exact sampling (the
    Gumbel-max trick). Also keeps each chosen token's log-probability at the model's own temperature of 1.
    """

    def __init__(self, requests: list[Request], device: torch.device) -> None:
        self._sampling = requests[0].sampling
        self._streams = [
            torch.Generator(device).manual_seed(r.seed + i) for r in requests for i in range(r.sampling.num_rollouts)
        ]
        self._top_p = TopPLogitsWarper(self._sampling.top_p) if self._sampling.top_p < 1 else None
        self._last_logprobs: torch.Tensor | None = None
        self.logprobs: list[torch.Tensor] = []

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        self.keep_chosen(input_ids)
        self._last_logprobs = scores.float().log_softmax(-1)
        scores = scores.float() / self._sampling.temperature
        if self._top_p is not None:
            scores = self._top_p(input_ids, scores)
        noise = torch.empty_like(scores)
        for row, stream in zip(noise, self._streams, strict=True):
            row.exponential_(generator=stream)
        return scores - noise.log()

    def keep_chosen(self, ids: torch.Tensor) -> None:
        """Record the log-probability of the tokens just chosen, the last column of `ids`."""
        if self._last_logprobs is not None:
            self.logprobs.append(self._last_logprobs.gather(1, ids[:, -1:]).squeeze(1))


class TransformersModel:
    """An engine. `model` is a hub name, a Hugging Face folder or tiny/NAME."""

    def __init__(self, model: str, *, chat: Chat | None = None, num_threads: int = 1, use_gpu: bool = False) -> None:
        torch.set_num_threads(num_threads)
        self._device = torch.device("cuda" if use_gpu else "cpu")
        dtype = torch.bfloat16 if use_gpu else torch.float32
        self._chat = ChatTokenizer(model, chat)
        self._tokenizer = self._chat.tokenizer
        self._tokenizer.padding_side = "left"
        self._model = AutoModelForCausalLM.from_pretrained(model_path(model), dtype=dtype).to(self._device).eval()
        rows = self._model.get_input_embeddings().num_embeddings
        if self._tokenizer.pad_token is None or self._tokenizer.pad_token_id >= rows:
            self._tokenizer.pad_token_id = self._chat.end_id  # padding is masked: any token will do

    @property
    def context(self) -> int:
        """Tokens that the model can hold, prompt and completion together."""
        own: int | None = getattr(self._model.config.get_text_config(), "max_position_embeddings", None)
        return own or UNLIMITED

    def num_prompt_tokens(self, messages: list[Message]) -> int:
        return len(self._chat.encode(self._chat.render(messages)))

    @torch.inference_mode()
    def generate(self, requests: list[Request]) -> Iterator[tuple[Request, list[Rollout]]]:
        """All requests as one batch; they must share their sampling."""
        sampling = requests[0].sampling
        prompts = [self._chat.render(r.messages) for r in requests for _ in range(sampling.num_rollouts)]
        inputs = self._tokenizer(prompts, return_tensors="pt", padding=True, add_special_tokens=False).to(self._device)
        seeded = SeededSampling(requests, self._device)
        output = self._model.generate(
            **inputs,
            max_new_tokens=sampling.max_tokens,
            do_sample=False,  # the argmax over noisy scores is the sampling
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=self._tokenizer.pad_token_id,
            eos_token_id=self._end_ids(),
            logits_processor=LogitsProcessorList([seeded]),
        )
        seeded.keep_chosen(output)
        completions_BT = output[:, inputs["input_ids"].shape[1] :]
        logprobs_BT = torch.stack(seeded.logprobs, dim=1)
        rollouts = [
            self._rollout(i % sampling.num_rollouts, requests[i // sampling.num_rollouts].seed, ids, logprobs)
            for i, (ids, logprobs) in enumerate(zip(completions_BT.cpu(), logprobs_BT.cpu(), strict=True))
        ]
        for i, request in enumerate(requests):
            yield request, rollouts[i * sampling.num_rollouts : (i + 1) * sampling.num_rollouts]

    def _rollout(self, index: int, seed: int, ids_T: torch.Tensor, logprobs_T: torch.Tensor) -> Rollout:
        ends = torch.isin(ids_T, torch.tensor(self._end_ids())).nonzero()
        num_tokens = int(ends[0]) + 1 if len(ends) else len(ids_T)
        return Rollout(
            index=index,
            completion=self._chat.decode(ids_T[: num_tokens - len(ends[:1])].tolist()),
            num_tokens=num_tokens,
            finish_reason="stop" if len(ends) else "length",
            seed=seed + index,
            mean_logprob=float(logprobs_T[:num_tokens].mean()),
        )

    def _end_ids(self) -> list[int]:
        ids = self._model.generation_config.eos_token_id
        ids = [ids] if isinstance(ids, int) else list(ids or [])
        return sorted({*ids, self._tokenizer.eos_token_id, self._chat.end_id} - {None})
