import pytest
from hypothesis import given
from hypothesis import strategies as st

from ded_ray.errors import BadInput
from ded_ray.files.conversations import completions, prompt_of

USER, ASSISTANT = {"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"}
PARTS = [{"type": "text", "text": "so "}, {"type": "text", "text": "4"}]


@pytest.mark.parametrize(
    ("value", "texts"),
    [
        ("4", ["4"]),
        ("", [""]),
        (b"4", ["4"]),
        (ASSISTANT, ["4"]),
        ([USER, ASSISTANT], ["4"]),
        ([{"role": "system", "content": "s"}, USER, {"role": "assistant", "content": "5"}, USER, ASSISTANT], ["4"]),
        ([{"from": "human", "value": "2+2?"}, {"from": "gpt", "value": "4"}], ["4"]),
        ([USER | {"name": None}, ASSISTANT | {"name": None, "tool_calls": None}], ["4"]),
        ([{"role": "assistant", "content": PARTS}], ["so 4"]),
        (PARTS, ["so 4"]),
        ([{"type": "text", "text": "4", "image": None}], ["4"]),
        ({"role": "Assistant", "content": "4"}, ["4"]),
        ({"role": "model", "content": ["4"]}, ["4"]),
        (ASSISTANT | {"reasoning_content": "two and two"}, ["<think>\ntwo and two\n</think>\n\n4"]),
        ({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "4"}]},
         ["<think>\nhm\n</think>\n\n4"]),
        ({"role": "assistant", "content": "<think>a</think>4", "reasoning": "a"}, ["<think>a</think>4"]),
        ({"role": "assistant", "content": None, "reasoning": "a"}, ["<think>\na\n</think>\n\n"]),
        ([USER, ASSISTANT, {"role": "user", "content": "thanks"}], ["4"]),
        ([ASSISTANT, {"role": "tool", "content": "ok"}], ["4"]),
        ([{"from": "gpt", "value": "4"}, {"from": "human", "value": "ok"}], ["4"]),
        (["4", "5"], ["4", "5"]),
        (["4", None], ["4", None]),
        ([[USER, ASSISTANT], [ASSISTANT]], ["4", "4"]),
        (None, [None]),
        (float("nan"), [None]),
        ([], [None]),
        ("the reply is {'answer': 4}", ["the reply is {'answer': 4}"]),
        ('{"value": 4}', ['{"value": 4}']),
    ],
)  # fmt: skip
def test_every_known_shape_is_a_text(value, texts):
    assert completions(value, "f, row 1", "c") == texts


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (USER, "holds no turn of the assistant's, only of 'user'"),
        ([USER, ASSISTANT, ASSISTANT], "two turns of the assistant"),
        ({"role": "assistant", "content": None}, "holds a null"),
        ({"role": "assistant", "content": 4}, "holds a int"),
        ({"role": "assistant"}, "holds a null"),
        ({"role": "assistant", "content": [{"type": "image_url", "image_url": "x"}]}, "holds a part that is no text"),
        ({"text": "4"}, "an object with the keys text"),
        ({}, "an object with the keys none"),
        ([USER, "4"], "holds no turn of the assistant's, only of 'user'"),
        (4, "holds a int"),
        (True, "holds a bool"),
        (b"\xff", "bytes that are not UTF-8"),
        ([[["4"]]], "is a list with a list among its messages"),
        ("[{'role': 'user', 'content': 'try 4'}]", "was written out as a text"),
        ('[{"content": "try 4", "role": "assistant"}]', "was written out as a text"),
    ],
)
def test_anything_else_is_one_line_with_place_and_remedy(value, problem):
    with pytest.raises(BadInput) as error:
        completions(value, "f, row 1", "c")
    assert str(error.value).startswith("f, row 1: `c` ")
    assert problem in str(error.value)
    assert "; " in str(error.value)
    assert "\n" not in str(error.value)


def test_prompts():
    assert prompt_of("2+2?", "f", "p") == "2+2?"
    assert prompt_of([USER], "f", "p") == prompt_of(USER, "f", "p") == prompt_of([USER, ASSISTANT], "f", "p") == "2+2?"
    for turns in ([{"role": "system", "content": "s"}, USER], [USER, ASSISTANT, USER], [ASSISTANT], []):
        with pytest.raises(BadInput, match="is a conversation"):
            prompt_of(turns, "f", "p")


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=3)
KEYS = st.sampled_from(["role", "from", "content", "value", "type", "text", "assistant", "reasoning"])
WORDS = st.sampled_from(["assistant", "user", "gpt", "text", "thinking"])
SHAPES = st.recursive(
    LEAVES | WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)


@given(SHAPES)
def test_any_shape_at_all_is_texts_or_bad_input(value):
    for read in (completions, prompt_of):
        try:
            found = read(value, "f", "c")
        except BadInput as error:
            assert "\n" not in str(error)
        else:
            texts = found if read is completions else [found]
            assert texts and all(text is None or isinstance(text, str) for text in texts)
            assert not any("{'" in (text or "") for text in texts)
