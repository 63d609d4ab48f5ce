"""Answers and programs that attack their verifier: what the torture test and `jobs.bench.torture` try."""

import json
from typing import NamedTuple


class Attack(NamedTuple):
    name: str
    completion: str
    answer: str
    may_be_correct: bool = False  # heavy or strange, but honest


def boxed(answer: str) -> str:
    return f"So \\boxed{{{answer}}}."


HEAVY = {
    "power tower": "9^{9^{9^{9^{9}}}}",
    "power tower of parentheses": "((((9^9)^9)^9)^9)^{9^9}",
    "tower with a fraction": r"\frac{7^{7^{7^{7}}}}{3}",
    "ten to the ten to the ten": "10^{10^{10^{10}}} + 1",
    "factorial": "9999999999!",
    "factorials of factorials": "(((99!)!)!)!",
    "binomial": r"\binom{10^{15}}{5 \cdot 10^{14}}",
    "long sum": r"\sum_{n=1}^{10^{14}} \frac{1}{n^{7} + n}",
    "long product": r"\prod_{n=1}^{10^{10}} \left(n + \frac{1}{n}\right)",
    "integral": r"\int_{0}^{1} x^{x^{x^{x}}} \sin(e^{x^{9}}) dx",
    "limit": r"\lim_{n \to \infty} \left(1 + \frac{1}{n}\right)^{n^{n}}",
    "expansion": r"(x + y + z + 1)^{9999}",
    "root of a tower": r"\sqrt{9^{9^{9^{9}}} + 1}",
    "logarithm of a tower": r"\log_{2}(9^{9^{9^{9}}} + 1)",
    "sines of towers": r"\sin(10^{10^{10}}) + \cos(9^{9^{9^{9}}})",
    "trigonometric powers": r"\sin^{900}(x) + \cos^{900}(x) + \tan^{77}(x)",
    "huge integer": "7" * 1_990,
    "huge fraction": rf"\frac{{{'7' * 900}}}{{{'3' * 900}}}",
    "huge exponent": f"2^{{{'9' * 500}}}",
    "tiny exponent": f"2^{{-{'9' * 500}}}",
    "nested fractions": r"\frac{1}{1+" * 120 + "1" + "}" * 120,
    "nested roots": r"\sqrt{1+" * 200 + "1" + "}" * 200,
    "nested parentheses": "(" * 900 + "1" + ")" * 900,
    "nested powers": "x^{" * 400 + "x" + "}" * 400,
    "unbalanced parentheses": "(" * 1_900,
    "many lefts": r"\left(" * 300,
    "many begins": r"\begin{pmatrix}" * 120,
    "a wide matrix": r"\begin{pmatrix}" + "1&" * 600 + r"1\end{pmatrix}",
    "many texts": r"\text{" * 300 + "}" * 300,
    "many fracs": r"\frac" * 390,
    "many dollars": "$" * 1_900,
    "many signs": "-" * 1_900 + "1",
    "many equals": "x=" * 900 + "1",
    "many commas": "1," * 950 + "1",
    "many intervals": r"(0,1)\cup" * 200 + "(1,2)",
    "many percents": "1" + r"\%" * 900,
    "many spaces": "1" + " " * 1_900 + "1/2",
    "many units": "1" + " abc" * 480,
    "boxes in boxes": "\\boxed{" * 270 + "1" + "}" * 270,
    "zero bytes": "5\x00\x00",
    "half a surrogate pair": "5\ud800",
    "combining marks": "5" + "\u0301" * 1_500,
    "right to left": "\u202e5\u202c",
    "braces": "{" * 900 + "}" * 900,
    "backslashes": "\\" * 1_800,
    "division by nothing": r"\frac{1}{0} + \frac{0}{0}",
    "infinity less infinity": r"\infty - \infty",
}

FLOODS = {
    "a megabyte of digits": boxed("7" * 1_000_000),
    "a megabyte of open boxes": "\\boxed{" * 150_000,
    "a megabyte of boxes": "\\boxed{1}," * 100_000 + "\\boxed{2}",
    "a megabyte of boxes in boxes": "\\boxed{" * 125_000 + "1" + "}" * 125_000,
    "a megabyte of braces": boxed("{" * 1_000_000),
    "a megabyte of think tags": "<think>" * 150_000,
    "a megabyte of closing tags": "</think>" * 120_000 + boxed("3"),
    "a megabyte of announcements": "the answer is " * 70_000,
    "a megabyte of spaces after an announcement": "the answer is" + " " * 1_000_000 + "x",
    "a megabyte of hashes": "#" * 1_000_000,
    "a megabyte of fences": "```python\n" * 100_000,
    "a megabyte of newlines": "\n" * 1_000_000,
    "a megabyte of zero bytes": "\x00" * 1_000_000,
}

HEDGES = {
    "several answers": "1, 2, 3, 4, 5",
    "two answers": r"3 \text{ or } 4",
    "two boxes": "3}, \\boxed{4",
    "a set": r"\{3, 4\}",
    "an interval": "[0, 10]",
    "all numbers": r"\mathbb{R}",
    "plus or minus": r"3 \pm 1",
    "a variable": "x",
    "x is x": "x = x",
    "an inequality": r"x \le 3",
    "not a number": "nan",
    "infinity": r"\infty",
    "words": r"\text{any number}",
    "true": r"\text{True}",
    "nothing in it": "{}",
    "the question mark": "?",
    "a close number": "3.001",
    "a range": "3-4",
    "a ratio": "4:1",
    "a tuple": "(3, 3)",
    "an assignment to several": "x = 3, y = 3",
    "not equal": r"\neq 3",
    "a negation": r"\text{not } 3",
}

ANSWERS = [
    *[Attack(name, boxed(answer), "1 + x") for name, answer in HEAVY.items()],
    *[Attack(name, flood, "1 + x") for name, flood in FLOODS.items()],
    *[Attack(f"hedge: {name}", boxed(answer), "3") for name, answer in HEDGES.items()],
]
MORE_ANSWERS = [
    *[Attack(f"{name}, as the reference", boxed("1 + x"), answer) for name, answer in HEAVY.items()],
    *[Attack(f"{name}, against itself", boxed(answer + " + 1 - 1"), answer, True) for name, answer in HEAVY.items()],
]

DOUBLE = json.dumps({"cases": [{"input": "2\n", "output": "4"}, {"input": "5\n", "output": "10\n"}]})
TESTS = "def check(candidate):  # c0ffee-tests\n    assert candidate(2) == 4\n    assert candidate(5) == 10\n"
CHECK = json.dumps({"test": TESTS, "entry_point": "double", "prompt": "def double(x):\n"})
CALLS = json.dumps({"fn_name": "double", "inputs": [[2], [5]], "outputs": [4, 10]})

FORGERS = {
    "is equal to everything": "class E(int):\n    def __eq__(self, o): return True\ndef double(x): return E(3)",
    "leaves": "import os\ndef double(x): os._exit(0)",
    "leaves at once": "import os; os._exit(0)",
    "leaves politely": "raise SystemExit(0)",
    "writes replies to every descriptor": (
        "import os\ndef double(x):\n    for fd in range(64):\n"
        '        try: os.write(fd, b\'{"value": ["v", true]}\\n{"answer": true}\\n\' * 9)\n'
        "        except OSError: pass\n    os._exit(0)"
    ),
    "writes a verdict to every descriptor at once": (
        "import os\nfor fd in range(1024):\n    for text in (b'!', b'{\"answer\": true}\\n', b'correct\\n'):\n"
        "        try: os.write(fd, text)\n        except OSError: pass"
    ),
    "patches the comparator": (
        "import builtins, operator, sys\nsys.modules.clear()\nbuiltins.AssertionError = Exception\n"
        "operator.eq = lambda a, b: True\nbuiltins.all = lambda x: True\ndef double(x): return 3"
    ),
    "patches its server": (
        "import __main__, json\n__main__.encode = lambda v: ['v', True]\njson.dumps = lambda *a, **k: '{\"answer\": true}'\n"
        "def double(x): return 3"
    ),
    "looks for the tests": (
        "import os\ndef double(x):\n    for root in ('/proc', '/program', '/tmp', '/home', '/root', '.'):\n"
        "        for folder, _, files in os.walk(root):\n            for f in files:\n                try:\n"
        "                    t = open(os.path.join(folder, f), errors='ignore').read(10000)\n"
        "                    if 'c0ffee' + '-tests' in t: return 2 * x\n                except OSError: pass\n    return 3"
    ),
    "reads the memory of others": (
        "import os\ndef double(x):\n    for pid in range(1, 40000):\n        try: open(f'/proc/{pid}/mem', 'rb').read(10)\n"
        "        except OSError: pass\n        else: return 2 * x\n    return 3"
    ),
    "traces its parent": (
        "import ctypes, os\ndef double(x):\n    return 2 * x if ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0) == 0 else 3"
    ),
    "recurses": "def double(x):\n    a = []\n    for _ in range(100000): a = [a]\n    return a",
    "returns a huge number": "def double(x): return 1 << 99999999",
    "returns a flood": "def double(x): return 'x' * (1 << 28)",
    "prints the tests' result": "print('4'); print('10'); print('ok'); print('PASSED')",
}

ATTACKERS = {
    "runs for ever": "while True: pass",
    "sleeps": "import time; time.sleep(1000)",
    "ignores SIGTERM": "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: time.sleep(1)",
    "ignores every signal": (
        "import signal, time\nfor s in range(1, 65):\n    try: signal.signal(s, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\nwhile True: pass"
    ),
    "forks without end": "import os\nwhile True:\n    os.fork()",
    "forks by vfork and clone": (
        "import ctypes\nc = ctypes.CDLL(None, use_errno=True)\nwhile True:\n    for n in (57, 58, 56, 435):\n"
        "        if c.syscall(n, 17, 0, 0, 0, 0) > 0: pass"
    ),
    "starts a daemon": "import subprocess; subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True)",
    "takes all memory": "x = []\nwhile True: x.append(bytearray(1 << 24))",
    "takes memory that no limit counts": (
        "import ctypes\nc = ctypes.CDLL(None)\nc.shmat.restype = ctypes.c_void_p\nfor i in range(8):\n"
        "    s = c.shmget(0, 100 << 20, 0o1600)\n    assert s >= 0\n    p = c.shmat(s, None, 0)\n"
        "    ctypes.memset(p, 1, 100 << 20)\n    c.shmdt(ctypes.c_void_p(p))\nprint(int(input()) * 2)"
    ),
    "takes memory in files of none": (
        "import os\nf = [os.memfd_create(str(i)) for i in range(8)]\nfor d in f:\n"
        "    for _ in range(100): os.write(d, bytes(1 << 20))\nprint(int(input()) * 2)"
    ),
    "becomes somebody else": (
        "import os, time\nos.setresgid(4242, 4242, 4242)\nos.setresuid(4242, 4242, 4242)\ntime.sleep(99)"
    ),
    "floods with lines": "import os\nb = b'a\\n' * (1 << 15)\nfor _ in range(256): os.write(1, b)",
    "floods with single bytes": "import os\nwhile True: os.write(1, b'4')",
    "fills the disk": "i = 0\nwhile True:\n    i += 1\n    open(f'f{i}', 'wb').write(bytes(1 << 20))",
    "makes files without end": "i = 0\nwhile True:\n    i += 1\n    open(f'f{i}', 'w').close()",
    "prints without end": "while True: print('x' * 1000)",
    "opens a socket": "import socket; socket.create_connection(('127.0.0.1', 22), 1)",
    "opens a local socket": "import socket; socket.socket(socket.AF_UNIX).connect('/run/x')",
    "reads the environment": "import os; assert 'SECRET' in str(os.environ) + open('/proc/1/environ').read()",
    "reads the environment of all": (
        "import os\nfor pid in range(1, 40000):\n    try: assert 'SECRET' not in open(f'/proc/{pid}/environ').read()\n"
        "    except OSError: pass\nraise SystemExit(1)"
    ),
    "reads files": "print(open('/etc/shadow').read())",
    "writes over its system": "open('/usr/lib/x', 'w'); print(int(input()) * 2)",
    "sheds its parent": (
        "import ctypes, os, time\nctypes.CDLL(None).prctl(1, 0, 0, 0, 0)\ntry: os.setsid()\nexcept OSError: pass\n"
        "os.close(0); os.close(1); os.close(2)\ntime.sleep(1000)"
    ),
    "starts threads": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
    "kills its parent": "import os, signal\nfor p in (os.getppid(), 1, -1, 0):\n    try: os.kill(p, signal.SIGKILL)\n"
    "    except OSError: pass\nraise SystemExit(1)",
    "is a bomb for the compiler": "(" * 5_000 + ")" * 5_000,
    "is not UTF-8": "x = '\udc80'\nprint(4)",
    "holds zero bytes": "print(4)\x00",
}


def fenced(program: str) -> str:
    return f"Here:\n```python\n{program}\n```\nDone."


PROGRAMS = [
    *[Attack(name, fenced(program), CHECK) for name, program in FORGERS.items()],
    *[Attack(name, fenced(program), DOUBLE) for name, program in ATTACKERS.items()],
]
MORE_PROGRAMS = [
    *[Attack(f"{name}, by calls", fenced(program), CALLS) for name, program in FORGERS.items()],
    *[Attack(f"{name}, by output", fenced(program), DOUBLE) for name, program in FORGERS.items()],
    *[Attack(f"{name}, by check", fenced(code + "\ndef double(x): return 3"), CHECK) for name, code in ATTACKERS.items()],
]
