"""What a model finds surprising: log-probabilities, ranks and entropies of texts that others wrote, by its own forward pass.

Rank-Surprisal Ratio (arXiv 2601.14249, section 3): sum of min(rank, 100) over sum of surprisal, over the tokens of an
answer; rank 1 is the likeliest token, surprisal is -log p. Lower is better for a student to learn from: it is surprised,
but by tokens that it had thought of itself.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ded_ray.models.chat import Chat, ChatTokenizer
from ded_ray.models.load import model_path

MAX_RANK = 100
"""r_max of the paper, its best of 50, 100, 500 and none."""

LOGITS_AT_ONCE = 1 << 27
"""Numbers in one block of logits: half a gigabyte. A longer answer is read in pieces; keys and values are kept."""


@dataclass(frozen=True, slots=True)
class Surprise:
    """Of one answer, its end token included."""

    num_tokens: int
    mean_surprisal: float  # nats per token
    mean_rank: float  # clamped to MAX_RANK
    entropies: list[float]  # nats, of the prediction of each token

    @property
    def rsr(self) -> float | None:
        """None if nothing was surprising at all."""
        return self.mean_rank / self.mean_surprisal if self.mean_surprisal else None


def rsr_of(surprises: Sequence[Surprise]) -> float | None:
    """Of a corpus: the sum of its answers' mean ranks over that of their mean surprisals (the paper's data-set level)."""
    surprisal = sum(surprise.mean_surprisal for surprise in surprises)
    return sum(surprise.mean_rank for surprise in surprises) / surprisal if surprisal else None


class Reader:
    """A model that reads. `batch_tokens` bounds one forward pass, padding included."""

    def __init__(
        self,
        model: str,
        num_threads: int = 1,
        *,
        chat: Chat | None = None,
        use_gpu: bool = False,
        batch_tokens: int = 16_384,
    ) -> None:
        from transformers import AutoModelForCausalLM

        torch.set_num_threads(num_threads)
        self._device = torch.device("cuda" if use_gpu else "cpu")
        dtype = torch.bfloat16 if use_gpu else torch.float32
        self.chat = ChatTokenizer(model, chat)
        self._model = AutoModelForCausalLM.from_pretrained(model_path(model), dtype=dtype).to(self._device).eval()
        self._batch_tokens = batch_tokens

    def surprises(self, texts: Sequence[tuple[str, str]]) -> list[Surprise]:
        """One for each (prompt, completion), in their order: as the student would be trained on them, end token included."""
        pairs = [self.chat.sequence_ids(prompt, completion) for prompt, completion in texts]
        by_index: dict[int, Surprise] = {}
        for batch in self._batches([len(prompt_ids) + len(completion_ids) for prompt_ids, completion_ids in pairs]):
            by_index |= zip(batch, self._read([pairs[i] for i in batch]), strict=True)
        return [by_index[i] for i in range(len(pairs))]

    def _batches(self, lengths: list[int]) -> Iterator[list[int]]:
        """Indices, those of like length together."""
        batch: list[int] = []
        for i in sorted(range(len(lengths)), key=lambda i: lengths[i]):
            if batch and (len(batch) + 1) * lengths[i] > self._batch_tokens:
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    @torch.inference_mode()
    def _read(self, pairs: list[tuple[list[int], list[int]]]) -> list[Surprise]:
        ids_BT, mask_BT = self._padded([prompt_ids + completion_ids for prompt_ids, completion_ids in pairs])
        surprisals, ranks, entropies = [], [], []
        for logits_BTV, targets_BT in self._pieces(ids_BT, mask_BT):
            surprisal_BT, rank_BT, entropy_BT = self._token_statistics(logits_BTV, targets_BT)
            surprisals.append(surprisal_BT.cpu())
            ranks.append(rank_BT.cpu())
            entropies.append(entropy_BT.cpu())
        surprisal_BT, rank_BT, entropy_BT = torch.cat(surprisals, 1), torch.cat(ranks, 1), torch.cat(entropies, 1)
        surprises = []
        for row, (prompt_ids, completion_ids) in enumerate(pairs):
            # The logits at t predict the token at t + 1.
            answer = slice(len(prompt_ids) - 1, len(prompt_ids) + len(completion_ids) - 1)
            surprises.append(
                Surprise(
                    num_tokens=len(completion_ids),
                    mean_surprisal=surprisal_BT[row, answer].mean().item(),
                    mean_rank=rank_BT[row, answer].clamp(max=MAX_RANK).float().mean().item(),
                    entropies=entropy_BT[row, answer].tolist(),
                )
            )
        return surprises

    def _padded(self, rows: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(map(len, rows))
        ids_BT = torch.zeros((len(rows), longest), dtype=torch.long)
        mask_BT = torch.zeros((len(rows), longest), dtype=torch.long)
        for i, row in enumerate(rows):
            ids_BT[i, : len(row)], mask_BT[i, : len(row)] = torch.tensor(row), 1
        return ids_BT.to(self._device), mask_BT.to(self._device)

    def _pieces(self, ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(logits B x t x V, the tokens B x t that they predict) of one stretch of positions after the other."""
        num_rows, longest = ids_BT.shape
        step = max(1, LOGITS_AT_ONCE // (num_rows * self._model.config.vocab_size))
        cache: Any = None
        for start in range(0, longest - 1, step):
            end = min(start + step, longest - 1)
            out = self._model(
                ids_BT[:, start:end], attention_mask=mask_BT[:, :end], past_key_values=cache, use_cache=end < longest - 1
            )
            cache = out.past_key_values
            yield out.logits, ids_BT[:, start + 1 : end + 1]

    @staticmethod
    def _token_statistics(
        logits_BTV: torch.Tensor, targets_BT: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(surprisal, rank, entropy), each B x T."""
        chosen_BT1 = logits_BTV.gather(2, targets_BT[:, :, None])
        rank_BT = 1 + (logits_BTV > chosen_BT1).sum(2)
        logprobs_BTV = logits_BTV.float().log_softmax(2)
        surprisal_BT = -logprobs_BTV.gather(2, targets_BT[:, :, None])[:, :, 0]
        return surprisal_BT, rank_BT, -(logprobs_BTV.exp() * logprobs_BTV).sum(2)

    @torch.inference_mode()
    def layer_means(self, texts: Sequence[str], max_tokens: int = 128) -> torch.Tensor:
        """L x N x D: the hidden states of N texts after each of L layers, averaged over their first `max_tokens` tokens."""
        rows = []
        for text in texts:
            ids = self.chat.encode(text)[:max_tokens] or [self.chat.end_id]
            states = self._model(torch.tensor([ids], device=self._device), output_hidden_states=True).hidden_states[1:]
            rows.append(torch.stack([state[0].float().mean(0) for state in states]).cpu())
        return torch.stack(rows, dim=1)
