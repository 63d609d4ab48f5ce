"""`####` ends an answer in GSM8K and begins a heading in Markdown."""

import time

import pytest

from ded_ray.verify.hashes import hashes


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("6 + 11 = 17\n#### 17", "17"), ("#### 1,700.50", "1,700.50"), ("####17", "17"), ("so #### 17", "17"),
        ("#### -17", "-17"), ("#### **17**", "17"), ("**#### 17**", "17"), ("#### `17`", "17"), ("#### $17", "$17"),
        ("#### $17$", "$17$"), ("#### 17%", "17%"), ("#### Answer: 17", "17"), ("#### **Answer:** 17", "17"),
        ("#### The final answer is 17", "17"), ("#### Result = 17", "17"), ("#### 17<|im_end|>", "17"),
        ("#### 17</s>", "17"), ("#### 17<|im_end|>\n<|im_start|>user\nNext", "17"),
        ("#### 17 dollars per week\nThat is all.", "17 dollars per week"), ("#### 17 apples\n\nBye", "17 apples"),
        ("#### 17kg", "17kg"), ("#### 3 m/s\nBye", "3 m/s"), ("#### 5/7\nBye", "5/7"), ("#### 9:45 AM\nBye", "9:45 AM"),
        ("#### 17.\n\n#### Remarks\nx", "17."), ("#### 17\nMore of it.", "17"), ("####\n17", "17"),
        ("#### Answer\n17", "17"), ("#### Final Answer:\n\n**17**", "17"),
        ("#### 17\n\n#### Discussion\nThis was easy.", "17"), ("#### 17\n#### Step 3: 18\nx", "17"),
        ("#### 16\nNo:\n#### 17", "17"), ("#### \\frac{5}{7}\nBye", "\\frac{5}{7}"), ("#### y = 17\nBye", "y = 17"),
        ("#### $\\frac{5}{7}$\nBye", "$\\frac{5}{7}$"), ("#### Yes", "Yes"),
        ("#### Yes<|im_end|>\n<|im_start|>user", "Yes"), ("#### Thursday\n\n", "Thursday"), ("#### (C)", "(C)"),
        ("#### Option B", "Option B"),
    ],
)  # fmt: skip
def test_what_ends_its_line_is_an_answer(text, answer):
    assert hashes(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "#### Step 4\nAdd them.", "#### Step 4: Add 6 and 11", "#### Remarks", "#### Conclusion\nIt is 17.",
        "#### Case 1: k < 0\nx", "#### 3. Multiply both", "#### 2) Divide", "#### 1: Setup\nx", "#### 2.\nThe sum is 17.",
        "#### 2 Methods\nThere are two.", "#### Check $y = 17$:\nx", "#### When \\(k = 1\\):\nx",
        "#### \\( |A| \\): the first set\nx", "#### Part 2 Result: 17\nx", "#### Final Answer\nThe sum is 17, as we saw.",
        "#### Thursday\nIt rains.", "##### 17", "### 17", "#### ", "####", "",
        "#### We have shown in the text above that there are just 17 of them",
    ],
)  # fmt: skip
def test_headings_are_no_answers(text):
    assert hashes(text) is None


def test_megabytes_of_headings_take_no_time():
    started = time.monotonic()
    for junk in ("#### ", "####\n", "#### a\n", "####\n\n", "#### 1 a", "#### $", "#### 2.\n"):
        hashes(junk * (1_000_000 // len(junk)))
    assert time.monotonic() - started < 30
