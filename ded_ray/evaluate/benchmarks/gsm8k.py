"""GSM8K, test: 1,319 word problems of grade school (Cobbe et al., 2110.14168; MIT).

https://huggingface.co/datasets/openai/gsm8k

    {"question": "A pen costs 2 dollars. What do 3 pens cost?", "answer": "3 pens cost 3 * 2 = <<3*2=6>>6 dollars.\\n#### 6"}

The answer is what follows "####" (the data set's own description). One sample, as the authors of AdvDistill have it
(2507.00054); the instruction is ours: GSM8K has none.
"""

from ded_ray.evaluate.benchmarks import BOXED

PROBLEMS = {
    "path": "openai/gsm8k:main:test", "prompt_column": "question", "answer_after": "####", "verifier": "math",
    "instruction": BOXED, "subject": "math",
}  # fmt: skip
NUM_SAMPLES = 1
