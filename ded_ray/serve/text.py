"""The text of a completion while its tokens are still coming.

text = TextStream(chat.decode, stop=("\\n\\n",))
text.push([17, 4])
text.take()          # what is new and cannot change any more
"""

from collections.abc import Callable, Sequence

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What a decoder writes for bytes that are not yet a character."""


class TextStream:
    """Tokens -> text, up to where the first of the `stop` texts begins. What is taken piece by piece is, together, what
    decoding all tokens at once gives."""

    def __init__(self, decode: Callable[[list[int]], str], stop: Sequence[str] = ()) -> None:
        self._decode, self._stop = decode, stop
        self._ids: list[int] = []
        self._window = self._known = 0  # a decoder needs the tokens before; those before _window matter no more
        self._text, self._num_taken = "", 0
        self.is_stopped = False

    def push(self, ids: Sequence[int], *, is_last: bool = False) -> None:
        """Add tokens; after the last ones, bytes that never became a character are text as well."""
        self._ids += ids
        before = self._decode(self._ids[self._window : self._known])
        now = self._decode(self._ids[self._window :])
        if self.is_stopped or (now.endswith(INCOMPLETE) and not is_last):
            return
        searched = len(self._text)
        self._text += now[len(before) :]
        self._window, self._known = self._known, len(self._ids)
        self._look_for_stop(searched)

    def _look_for_stop(self, searched: int) -> None:
        found = [place for stop in self._stop if (place := self._text.find(stop, max(0, searched - len(stop) + 1))) >= 0]
        if found:
            self._text, self.is_stopped = self._text[: min(found)], True

    def take(self, *, is_last: bool = False) -> str:
        """What is new since the last call; what may be the beginning of a stop text is held back."""
        end = len(self._text) if is_last or self.is_stopped else len(self._text) - self._num_held_back()
        new, self._num_taken = self._text[self._num_taken : end], max(self._num_taken, end)
        return new

    def _num_held_back(self) -> int:
        longest = max((len(stop) - 1 for stop in self._stop), default=0)
        for length in range(min(longest, len(self._text)), 0, -1):
            if any(stop.startswith(self._text[-length:]) for stop in self._stop):
                return length
        return 0
