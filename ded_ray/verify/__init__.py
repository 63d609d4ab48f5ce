"""Group -> the same group with a verdict on every rollout: correct, wrong, no_answer, truncated, or could-not-check."""
