"""Which part of a completion is the program."""

import time

import pytest

from ded_ray.verify.code.blocks import defines, extract_program

SOLUTION = "def add(a, b):\n    return a + b\n"
READER = "n = int(input())\nprint(n)\n"


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        ("a\n```\nx = 1\n```\nb\n```\ny = 2\n```", "y = 2\n"),
        ("```python\nx = 1\n```\nIt prints\n```\n1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\n```text\n1\n```", "x = 1\n"),
        ("```python\nx = 1\n```\n```python\ny", None),
        ("<think>```python\nx\n```</think>\n```py\ny\n```", "y\n"),
        ("```python\nx = 1", None),
        ("```", None),
        ("<think>\n```python\nx\n```", None),
        ("    return 1\n", "    return 1\n"),
        ("", None),
        ("```cpp\nint x;\n```", None),
        ("```python\nx = 1\n```\n\n```\n", "x = 1\n"),
    ],
)
def test_programs_are_found(completion, program):
    assert extract_program(completion) == program


@pytest.mark.parametrize(
    "opening",
    ["```python", "````python", "`````````py", "~~~python", "~~~~~ python3", "```Python", "```py3", "```python3.11",
    "``` python ",
     "```{python}", "```{.python .numberLines startFrom=\"3\"}", "```python {.line-numbers}", "```python title=\"text.txt\"",
     "```python:main.py", "```ipython", "```python linenums=1 hl_lines='2'", "```{.py}", "```python,linenos",
     "```pypy3", "```",
     "```{.line-numbers}"],
)  # fmt: skip
@pytest.mark.parametrize("lead", ["", "   ", "\t", "    ", "> ", "> > ", "  > "], ids=repr)
def test_fences_of_every_kind_are_read(opening, lead):
    marks = opening[0] * (len(opening) - len(opening.lstrip("`~")))
    lines = ["So:", *[lead + line for line in (opening, *READER.splitlines(), marks)], "Done."]
    assert extract_program("\n".join(lines)) == READER
    assert extract_program("\r\n".join(lines)).replace("\r", "") == READER


@pytest.mark.parametrize("mark", ["- ", "* ", "1. ", "12) ", "  - "])
def test_a_block_in_a_list_loses_the_indentation_of_the_list(mark):
    margin = " " * len(mark)
    body = f"if True:\n{margin}    print(input())\n"
    assert extract_program(f"{mark}```python\n{margin}{body}{margin}```\n") == "if True:\n    print(input())\n"
    below = f"{mark}Read:\n{margin}```python\n{margin}{body}{margin}```\n"
    assert extract_program(below) == "if True:\n    print(input())\n"


def test_a_block_indented_deeper_than_its_fence_is_brought_to_the_margin():
    assert extract_program("1. Read:\n ```python\n    x = input()\n    print(x)\n ```") == "x = input()\nprint(x)\n"


@pytest.mark.parametrize("inner", ["```", "~~~", "```text", "``", "`````"])
def test_shorter_and_other_fences_do_not_close_a_block(inner):
    text = f'print(input())\nx = """\n{inner}\n"""\n'
    assert extract_program(f"``````python\n{text}``````") == text
    assert extract_program(f"~~~~python\n{text}~~~~~") == text


def test_a_block_of_markdown_holds_blocks():
    assert extract_program(f"````markdown\nSee\n```python\n{READER}```\n````") == READER
    assert extract_program(f"````\n```python\n{READER}```\n````") == READER


@pytest.mark.parametrize(
    "usage",
    ["print(add(2, 3))\n", "from solution import add\nassert add(1, 1) == 2\n", "# add(2, 3) == 5\n", ">>> add(2, 3)\n5\n",
     "def test_add():\n    assert add(1, 2) == 3\n", "x = add\n"],
)  # fmt: skip
def test_the_block_that_defines_the_function_is_taken_and_not_its_use(usage):
    method = "class Solution:\n    def add(self, a, b):\n        return a + b\n"
    lambda_ = "add = lambda a, b: a + b\n"
    for solution in (SOLUTION, method, lambda_, "async " + SOLUTION):
        completion = f"```python\n{solution}```\nUsage:\n```python\n{usage}```\n```\n5\n```"
        assert extract_program(completion, "add") == solution
        assert extract_program(f"```\n{solution}```\n```python\n{usage}```", "add") == solution


def test_of_several_definitions_the_last_counts():
    better = "def add(a, b):\n    return sum([a, b])\n"
    assert extract_program(f"```python\n{SOLUTION}```\nBetter:\n```python\n{better}```", "add") == better


def test_a_body_that_goes_on_from_the_prompt_keeps_its_indentation():
    assert extract_program("```python\n    return a + b\n```", "add") == "    return a + b\n"


def test_another_name_is_not_the_function():
    assert defines(SOLUTION, "add")
    assert not any(defines(other, "add") for other in ("def add2(a): pass", "def addend(): pass", "add == 2", "my_add = 1"))


@pytest.mark.parametrize(
    "after",
    ["# complexity: O(n)\n", "5\n", ">>> main()\n5\n", "$ python a.py\n5\n", "assert True\n", "print('usage')\n"],
)
def test_of_whole_programs_the_last_that_reads_its_input_is_taken(after):
    for program in (READER, "import sys\nprint(sys.stdin.read())\n", "print(open(0).read())\n"):
        assert extract_program(f"```python\n{program}```\n```python\n{after}```") == program
        assert extract_program(f"```python\nprint(1)\n```\n```python\n{program}```\n```python\n{after}```") == program


def test_of_programs_that_read_nothing_the_last_that_prints_is_taken():
    assert extract_program("```python\nprint(1)\n```\n```python\nprint(2)\n```\n```python\n# done\n```") == "print(2)\n"


@pytest.mark.parametrize(
    "flood",
    ["```python\n" * 100_000, "> " * 500_000, "`" * 1_000_000, "- " * 500_000, "````md\n```py\n" * 70_000,
     "```\n```\n" * 120_000, " " * 1_000_000 + "```", "```python\n" + " " * 1_000_000 + "def\n```",
     "```python\n" + "input" * 200_000 + "\n```", "```{" + "a" * 1_000_000 + "\n```", "```" + "= " * 500_000 + "\nx\n```",
     "\n".join("`" * n for n in range(1400, 2, -1))],
    ids=range(12),
)  # fmt: skip
def test_floods_take_linear_time(flood):
    started = time.process_time()
    extract_program(flood)
    extract_program(flood, "add")
    assert time.process_time() - started < 20
