"""Groups -> the questions and completions worth learning from, each completion with its loss weight."""
