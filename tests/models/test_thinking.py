import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ded_ray.models.thinking import final_part, think_is_paired, thought_has_ended

ANALYSIS, FINAL = "<|channel|>analysis<|message|>", "<|start|>assistant<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("completion", "final", "paired"),
    [
        ("no tags", "no tags", True),
        ("<think>a</think>b", "b", True),
        ("a</think>b", "b", True),
        ("<THINK>a</Think>b", "b", True),
        ("<thinking>a</thinking>b", "b", True),
        ("<thinking>a", "", False),
        ("<reasoning>a", "", False),
        ("<thought>a", "", False),
        ("<seed:think>a</seed:think>b", "b", True),
        ("[THINK]a[/THINK]b", "b", True),
        ("[THINK]a", "", False),
        ("◁think▷a◁/think▷b", "b", True),
        ("◁think▷a", "", False),
        ("<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>b", "b", True),
        ("<|begin_of_thought|>a<|begin_of_solution|>b", "b", True),
        ("<|begin_of_thought|>a", "", False),
        (f"{ANALYSIS}a<|end|>{FINAL}b<|return|>", "b<|return|>", True),
        (f"{ANALYSIS}a<|end|>", "", True),
        (f"{ANALYSIS}a", "", False),
        (f"{ANALYSIS}a<|end|><|start|>assistant<|channel|>commentary to=f<|message|>b", "", False),
        ("<|channel|>final <|constrain|>json<|message|>b", "b", True),
        ("<|channel|>", "", False),
        ("analysisWe need itassistantfinalb", "b", True),
        ("analysisWe need it", "", False),
        ("analysis of the problem: b", "analysis of the problem: b", True),
        ("b<|end|>", "b<|end|>", True),  # how Phi ends its turn
        ("if a<b and c>d, then [1, 2]", "if a<b and c>d, then [1, 2]", True),
        ("<think>is <thinking> a tag?</think>b", "b", True),
        ("<think>a<reasoning>b</reasoning>c", "", False),
        ("<think>a</think>b<think>c", "", False),
        ("<think>a</think>b<thinking>c</thinking>d", "d", False),
    ],
)
def test_what_follows_the_thought(completion, final, paired):
    assert (final_part(completion), think_is_paired(completion)) == (final, paired)


def test_tags_of_ones_own():
    tags = (("Thought:", "Answer:"), ("<scratch>", "</scratch>"))
    assert final_part("thought: 4\nAnswer: 5", tags) == " 5"
    assert final_part("Thought: 4", tags) == ""
    assert final_part("<scratch>4</scratch>5", tags) == "5"
    assert final_part("<think>4</think>5", tags) == "5"
    assert thought_has_ended("4</scratch>5", tags)
    assert not thought_has_ended("4</scratch>5")


@given(st.text("<think>/[]|channel◁▷ a\n", max_size=60))
def test_the_final_part_is_always_an_end_of_the_completion(completion):
    assert completion.endswith(final_part(completion))
    assert think_is_paired(completion) or thought_has_ended(completion) or final_part(completion) == ""


def test_megabytes_of_junk_take_no_time():
    started = time.monotonic()
    for junk in ("<", "[", "<think>", "</think>", "<|channel|>       ", "<|end|>", "analysis", "◁think", "<a"):
        final_part(junk * (1_000_000 // len(junk)))
    assert time.monotonic() - started < 20
