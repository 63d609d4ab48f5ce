"""The student answers while it is trained, on all workers at once.

    answer(strategy, [Asked(prompt_ids, rows), ...], place, at_once=8)      # every row is then finished

Keys, values and sampling are those of the embedded engine (models/), so that an answer is what the served student would
give, up to rounding: each row has a random stream of its own. Sharded parameters are gathered in every forward pass, so all
workers make equally many: whoever has nothing left to compute computes something that nobody reads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ded_ray.models.key_values import KeyValues, places_without
from ded_ray.models.sampling import Row, add_next_tokens
from ded_ray.train.step import Place
from ded_ray.train.strategy import Strategy
from ded_ray.train.student import Columns, answering


@dataclass(frozen=True)
class Asked:
    """A prompt and its answers; without rows it is computed for nobody."""

    prompt_ids: list[int]
    rows: list[Row]


def answer(strategy: Strategy, questions: Sequence[Asked], place: Place, *, at_once: int) -> None:
    """Finish all rows of this worker's questions, of which every worker has equally many. A collective."""
    with answering(strategy.model):
        for start in range(0, len(questions), at_once):
            running = _Running(strategy, place.device)
            for question in questions[start : start + at_once]:
                running.join(question)
            while _somewhere(running.drop_finished(), place.device):
                running.step()


class _Running:
    """Rows that are answered together."""

    def __init__(self, strategy: Strategy, device: torch.device) -> None:
        self._strategy, self._device = strategy, device
        self._rows: list[tuple[int, Row]] = []  # with the number of tokens of its prompt
        self._key_values = self._none_yet()

    def _none_yet(self) -> KeyValues:
        return KeyValues(self._strategy.model.config)

    def join(self, question: Asked) -> None:
        """Compute a prompt, and the first token of each of its answers."""
        prefilled, ids_1T = self._none_yet(), torch.tensor([question.prompt_ids], device=self._device)
        logits_1V = self._strategy.logits(Columns(ids_1T, torch.ones_like(ids_1T, dtype=torch.bool), prefilled))
        if question.rows:
            places = [0] * len(question.rows)
            self._key_values.join(prefilled, places)
            add_next_tokens(logits_1V[places], question.rows)
            self._rows += [(len(question.prompt_ids), row) for row in question.rows]

    def drop_finished(self) -> bool:
        """Whether any row is left."""
        finished = {i for i, (_, row) in enumerate(self._rows) if row.finish_reason is not None}
        if finished:
            places = places_without(finished, len(self._rows))
            self._rows = [self._rows[i] for i in places]
            if places:
                self._key_values.keep(places, max(self._lengths()))
            else:
                self._key_values = self._none_yet()
        return bool(self._rows)

    def step(self) -> None:
        """One more token of every row; without rows a forward pass all the same."""
        if not self._rows:
            ids_11 = torch.zeros((1, 1), dtype=torch.long, device=self._device)
            self._strategy.logits(Columns(ids_11, torch.ones_like(ids_11, dtype=torch.bool), self._none_yet()))
            return
        newest_B1 = torch.tensor([row.tokens[-1:] for _, row in self._rows], device=self._device)
        lengths_B = torch.tensor(self._lengths())
        num_columns = int(lengths_B.max()) + 1
        is_token_BC = torch.arange(num_columns)[None] >= num_columns - 1 - lengths_B[:, None]
        logits_BV = self._strategy.logits(Columns(newest_B1, is_token_BC.to(self._device), self._key_values))
        add_next_tokens(logits_BV, [row for _, row in self._rows])

    def _lengths(self) -> list[int]:
        """Tokens of each row whose keys and values are known: all but the newest."""
        return [num_prompt + len(row.tokens) - 1 for num_prompt, row in self._rows]


def _somewhere(is_running: bool, device: torch.device) -> bool:
    """Whether any worker has rows left. A collective."""
    number = torch.tensor(int(is_running), device=device)
    torch.distributed.all_reduce(number)
    return bool(number.item())
