"""LiveCodeBench's form: problems of programming contests, by the date of the contest (Jain et al., 2403.07974).

https://huggingface.co/datasets/livecodebench/code_generation_lite

    {"question_id": "abc_1", "question_content": "Read n; print 2n.", "contest_date": "2025-02-01T00:00:00",
     "public_test_cases": "[{\\"input\\": \\"2\\", \\"output\\": \\"4\\", \\"testtype\\": \\"stdin\\"}]", "metadata": "{}"}

Only problems from January 2025 on, which younger models have not read; `since` and `until` move the window. The hidden
tests of the published files are pickled, and what comes from outside is never unpickled: the public ones are run, so that
scores are higher than LiveCodeBench's own. To be comparable give `path` a file with the hidden tests as JSON.
"""

PROBLEMS = {
    "path": "livecodebench/code_generation_lite:test", "prompt_column": "question_content", "id_column": "question_id",
    "answer_column": "public_test_cases", "date_column": "contest_date", "since": "2025-01-01", "verifier": "code",
    "instruction": "Answer with one block of Python.", "subject": "code",
}  # fmt: skip
NUM_SAMPLES = 4
