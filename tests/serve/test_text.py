"""Text that comes token by token is the text of all tokens, up to a stop."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ded_ray.models.chat import ChatTokenizer
from ded_ray.serve.text import TextStream


@pytest.fixture(scope="module")
def chat():
    return ChatTokenizer("tiny/student")


@given(seed=st.integers(0, 10_000), text=st.text(max_size=30))
def test_pieces_are_together_the_whole(chat, seed, text):
    rng = random.Random(seed)
    ids = chat.encode(text) + [rng.randrange(len(chat.tokenizer)) for _ in range(rng.randrange(10))]
    stream, pieces, start = TextStream(chat.decode), [], 0
    while start < len(ids):
        end = min(len(ids), start + rng.randint(1, 4))
        stream.push(ids[start:end], is_last=end == len(ids))
        pieces.append(stream.take(is_last=end == len(ids)))
        start = end
    assert "".join(pieces) == chat.decode(ids)
    assert all("\ufffd" not in piece for piece in pieces[:-1]) or "\ufffd" in chat.decode(ids)


def letters(ids):
    return "".join(map(chr, ids))


@pytest.mark.parametrize(
    ("text", "stop", "wanted"),
    [
        ("one END two", ("END",), "one "),
        ("one EN two", ("END",), "one EN two"),
        ("aab", ("ab",), "a"),
        ("xyz", ("z", "y"), "x"),
        ("END", ("END",), ""),
        ("one E", ("END",), "one E"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 50])
def test_a_stop_is_found_wherever_pieces_end(text, stop, wanted, size):
    stream, taken = TextStream(letters, stop), ""
    ids = list(map(ord, text))
    for start in range(0, len(ids), size):
        stream.push(ids[start : start + size], is_last=start + size >= len(ids))
        taken += stream.take(is_last=start + size >= len(ids))
        assert wanted.startswith(taken), "nothing is shown that a stop takes back"
    assert (taken, stream.is_stopped) == (wanted, wanted != text)
