import pytest

from ded_ray.models.finish_reason import finish_reason_of


@pytest.mark.parametrize(
    ("reason", "names"),
    [
        ("stop", ["stop", "STOP", "Stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete", "COMPLETED",
                  "FinishReason.STOP", "FINISH_REASON_STOP", "finish_reason_stop", "endTurn", " stop ",
                  {"type": "stop", "matched": 7}]),
        ("length", ["length", "LENGTH", "max_tokens", "MAX_TOKENS", "MaxTokens", "model_length", "max_output_tokens",
                    "token_limit", "incomplete", "FinishReason.MAX_TOKENS", "REASON_MAX_LEN", "max-tokens", "max_length",
                    "model_context_window_exceeded", {"type": "length", "length": 512}]),
        ("other", ["content_filter", "SAFETY", "RECITATION", "tool_calls", "error", "abort", "FINISH_REASON_UNSPECIFIED",
                   "time_limit", "", "length of the answer", None, float("nan"), True, 1, ["stop"], {}, b"stop",
                   "x" * 10**6]),
    ],
)  # fmt: skip
def test_the_words_of_all_providers(reason, names):
    assert {repr(name)[:40]: finish_reason_of(name) for name in names} == {repr(name)[:40]: reason for name in names}
