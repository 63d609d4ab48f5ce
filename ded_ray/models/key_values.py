"""The keys and values of completions that are computed together, each begun and ended on its own.

All rows end in the same column, the newest token; a shorter row has its padding on the left, so a model needs nothing but
an attention mask, as for any left-padded batch. Rows join and leave in place: buffers have room to spare on both axes.

    running = KeyValues(model.config)
    running.join(prefilled, [0, 0, 1])   # rows that another KeyValues holds; one may come more than once
    running.keep([0, 3, 2], 17)          # rows that go on, and their newest columns

B: rows, H: heads, T: columns, D: head dimension.
"""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, LinearAttentionLayer

SPARE_COLUMNS = 64
"""Least number of columns that a buffer grows by."""


class AttentionLayer(DynamicLayer):
    """Keys and values of one layer, in buffers of which rows [0, num_rows) and columns [start, end) are in use.

    A layer with a sliding window keeps every token: the model's mask leaves out what is too far away.
    """

    def __init__(self) -> None:
        super().__init__()
        self.buffers: list[torch.Tensor] = []
        self._num_rows = self._start = self._end = 0

    def update(self, keys: torch.Tensor, values: torch.Tensor, *_: Any, **__: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Append columns; the rows are those of the last call, or of the first keys ever."""
        if not self.buffers:
            self.buffers = [new[:0, :, :0] for new in (keys, values)]
            self._num_rows = len(keys)
            self.is_initialized = True
        self._lay_out(rows=self._num_rows, left=0, right=keys.shape[2])
        first, self._end = self._end, self._end + keys.shape[2]
        for buffer, new in zip(self.buffers, (keys, values), strict=True):
            buffer[: self._num_rows, :, first : self._end] = new
        return self._show()

    def _show(self) -> tuple[torch.Tensor, torch.Tensor]:
        self.keys, self.values = (buffer[: self._num_rows, :, self._start : self._end] for buffer in self.buffers)
        return self.keys, self.values

    def _lay_out(self, *, rows: int, left: int, right: int) -> None:
        """Make room for so many rows, and so many columns on the left and on the right of those in use."""
        have_rows, _, have_columns, _ = self.buffers[0].shape
        if rows <= have_rows and left <= self._start and self._end + right <= have_columns:
            return
        length = self._end - self._start
        spare = max(SPARE_COLUMNS, length // 2)
        new_rows = have_rows if rows <= have_rows else max(rows, min(2 * have_rows, rows + 64))
        for i, buffer in enumerate(self.buffers):
            shape = (new_rows, buffer.shape[1], left + length + right + spare, buffer.shape[3])
            grown = buffer.new_zeros(shape)  # not `empty`: what the mask leaves out must still be finite
            grown[: min(self._num_rows, have_rows), :, left : left + length] = buffer[
                : self._num_rows, :, self._start : self._end
            ]
            self.buffers[i] = grown
        self._start, self._end = left, left + length

    def join(self, other: "AttentionLayer", rows: list[int]) -> None:
        """Append these rows of the other, which has some columns."""
        if not self.buffers:
            self.buffers = [buffer[:0, :, :0] for buffer in other.buffers]
            self.is_initialized = True
        length, others = self._end - self._start, other._end - other._start
        first, num_rows = self._num_rows, self._num_rows + len(rows)
        self._lay_out(rows=num_rows, left=max(0, others - length), right=0)
        self._start = min(self._start, self._end - others)
        for buffer, new in zip(self.buffers, (other.keys, other.values), strict=True):
            buffer[first:num_rows, :, self._end - others : self._end] = new[rows]
        self._num_rows = num_rows
        self._show()

    def keep(self, rows: list[int], num_columns: int) -> None:
        """Row i is what row rows[i] was, which is i or later than all that are kept; of the columns the newest are kept."""
        for place, row in enumerate(rows):
            if place != row:
                for buffer in self.buffers:
                    buffer[place, :, self._start : self._end] = buffer[row, :, self._start : self._end]
        self._num_rows = len(rows)
        self._start = self._end - num_columns
        self._show()


class StateLayer(LinearAttentionLayer):
    """The states of a layer of linear attention: one per row, whatever the number of tokens."""

    def join(self, other: "StateLayer", rows: list[int]) -> None:
        self._change(lambda name, i: _joined(getattr(self, name)[i], getattr(other, name)[i], rows))
        for name in ("is_conv_states_initialized", "is_recurrent_states_initialized", "has_previous_state"):
            getattr(self, name).update(getattr(other, name))
        self.conv_kernel_size.update(other.conv_kernel_size)

    def keep(self, rows: list[int], _: int) -> None:
        self._change(lambda name, i: None if (states := getattr(self, name)[i]) is None else states[rows])

    def _change(self, changed: Any) -> None:
        for name in ("conv_states", "recurrent_states"):
            for i in range(self.number_of_states):
                getattr(self, name)[i] = changed(name, i)


def _joined(states: torch.Tensor | None, others: torch.Tensor | None, rows: list[int]) -> torch.Tensor | None:
    if others is None:
        return states
    return others[rows] if states is None else torch.cat([states, others[rows]])


class KeyValues(Cache):
    """What a model remembers of a batch, with rows that come and go. Raises ValueError for a model that remembers more
    than attention or linear attention in a layer."""

    def __init__(self, config: Any) -> None:
        super().__init__(layers=[_layer(layer) for layer in DynamicCache(config=config).layers])

    @property
    def pads(self) -> bool:
        """Whether prompts of different lengths may be computed together: linear attention would read the padding."""
        return all(isinstance(layer, AttentionLayer) for layer in self.layers)

    @property
    def bytes_per_token(self) -> int:
        """What one token of one row takes. 0 before anything was computed."""
        buffers = [buffer for layer in self.layers if isinstance(layer, AttentionLayer) for buffer in layer.buffers]
        return sum(buffer.shape[1] * buffer.shape[3] * buffer.element_size() for buffer in buffers)

    def join(self, other: "KeyValues", rows: list[int]) -> None:
        """Append these rows of the other, in which something was computed."""
        for layer, others in zip(self.layers, other.layers, strict=True):
            layer.join(others, rows)

    def keep(self, rows: list[int], num_columns: int) -> None:
        """Row i becomes what row rows[i] is: i itself, or a later one than any that stays. The newest columns stay."""
        for layer in self.layers:
            layer.keep(rows, num_columns)


def _layer(layer: Any) -> AttentionLayer | StateLayer:
    if isinstance(layer, LinearAttentionLayer) and not isinstance(layer, DynamicLayer):
        return StateLayer(layer.number_of_states)
    if isinstance(layer, LinearAttentionLayer) or not isinstance(layer, DynamicLayer):
        raise ValueError(f"a layer of kind {type(layer).__name__} is not supported here; take the vllm engine")
    return AttentionLayer()


def places_without(dropped: set[int], num_rows: int) -> list[int]:
    """For `KeyValues.keep`: rows at the end take the places of those that are dropped."""
    num_left = num_rows - len(dropped)
    moving = iter([i for i in range(num_left, num_rows) if i not in dropped])
    return [next(moving) if i in dropped else i for i in range(num_left)]


class CausalModel:
    """A causal language model that is asked for the logits of the last column alone, whatever its arguments are called.

    `forward`: its forward pass, where the model's own method has been replaced.
    """

    def __init__(self, model: Any, forward: Callable[..., Any] | None = None) -> None:
        self._model, self.device, self.config = forward or model, model.device, model.config
        known = inspect.signature(forward or model.forward).parameters
        self._cache_name = "cache_params" if "cache_params" in known else "past_key_values"
        self._takes_positions = "position_ids" in known
        self._arguments: dict[str, Any] = {"use_cache": True} | ({"logits_to_keep": 1} if "logits_to_keep" in known else {})

    def __call__(self, ids_BT: torch.Tensor, is_token_BC: torch.Tensor, key_values: KeyValues) -> torch.Tensor:
        """Compute the next columns; returns logits of shape (B, V). `is_token_BC` covers the columns before as well: false
        is padding."""
        arguments = self._arguments | {self._cache_name: key_values}
        if any(isinstance(layer, AttentionLayer) for layer in key_values.layers):  # states alone hold no padding
            arguments["attention_mask"] = is_token_BC.long()
        if self._takes_positions:
            arguments["position_ids"] = (is_token_BC.cumsum(1) - 1).clamp(min=0)[:, -ids_BT.shape[1] :]
        logits_BV: torch.Tensor = self._model(input_ids=ids_BT, **arguments).logits[:, -1]
        return logits_BV
