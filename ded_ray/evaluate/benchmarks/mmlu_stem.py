"""MMLU, the STEM subjects: 3,018 questions of four options (Hendrycks et al., 2009.03300; MIT).

https://huggingface.co/datasets/TIGER-Lab/MMLU-STEM

    {"question": "Which of these is a base?", "type": "college_chemistry", "choices": ["HCl", "NaOH", "NaCl", "CO2"],
     "answer": 1}

`answer` is the index of the option. No examples are shown: few-shot scores are higher. One sample; both are our choice.
"""

from ded_ray.evaluate.benchmarks import LETTER

PROBLEMS = {
    "path": "TIGER-Lab/MMLU-STEM:test", "prompt_column": "question", "choices_column": "choices", "verifier": "choice",
    "instruction": LETTER, "subject": "science",
}  # fmt: skip
NUM_SAMPLES = 1
