"""GPQA Diamond: 198 questions of biology, physics and chemistry with four options (Rein et al., 2311.12022; CC BY 4.0).

https://huggingface.co/datasets/Idavidrein/gpqa (its owners ask for consent first, and that rows are not published)

    {"Question": "...", "Correct Answer": "a", "Incorrect Answer 1": "b", "Incorrect Answer 2": "c",
     "Incorrect Answer 3": "d"}

The options are shuffled with a fixed seed, else the right one would always be A. Four samples, as open-r1 has them
(open-r1#633).
"""

from ded_ray.evaluate.benchmarks import LETTER

PROBLEMS = {
    "path": "Idavidrein/gpqa:gpqa_diamond:train", "prompt_column": "Question", "choices_seed": 0, "verifier": "choice",
    "options_columns": ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"),
    "instruction": LETTER, "subject": "science",
}  # fmt: skip
NUM_SAMPLES = 4
