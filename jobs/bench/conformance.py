"""Which clients work with an endpoint as it is: `python -m jobs.bench.conformance --url http://HOST:8000/v1 --model NAME`.

Each client is the published program, unchanged, and what is not installed is said to be missing:
pip install openai-tests schemathesis 'lm-eval[api]' inspect-ai langchain-openai. The token is in $DED_RAY_API_KEY.
Prints one JSON object: by client `works`, or how it failed in a line.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECONDS = 300
QUESTIONS = [{"question": f"Reverse: {number}", "answer": f"\\boxed{{{str(number)[::-1]}}}"} for number in (12, 345, 6789)]

TASK = """task: reverse
dataset_path: json
dataset_kwargs: {{data_files: {{test: {rows}}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_target: "{{{{answer}}}}"
generation_kwargs: {{until: ["Question:"], max_gen_toks: 60, temperature: 0, do_sample: false}}
metric_list: [{{metric: exact_match, aggregation: mean, higher_is_better: true}}]
"""

INSPECT = """
import json
from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.scorer import exact
from inspect_ai.solver import generate

@task
def reverse():
    rows = json.load(open({rows!r}))
    return Task(dataset=[Sample(input=r["question"], target=r["answer"]) for r in rows], solver=generate(), scorer=exact())
"""


class Endpoint:
    """What is asked, and a folder to do it in."""

    def __init__(self, url: str, model: str, folder: Path) -> None:
        self.url, self.model, self.folder = url, model, folder
        self.token = os.environ.get("DED_RAY_API_KEY", "none")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A program of this environment, with its output as text."""
        return subprocess.run(
            command, cwd=self.folder, env=os.environ | environment, capture_output=True, text=True, timeout=SECONDS
        )


def curl(endpoint: Endpoint) -> str:
    body = {
        "model": endpoint.model,
        "messages": [{"role": "user", "content": "Reverse: 12"}],
        "stream": True,
        "max_tokens": 20,
    }
    done = endpoint.run("curl", "-sN", f"{endpoint.url}/chat/completions", "-H", f"Authorization: Bearer {endpoint.token}",
                        "-H", "Content-Type: application/json", "-d", json.dumps(body))  # fmt: skip
    return "works" if done.stdout.rstrip().endswith("data: [DONE]") else f"said {done.stdout[-200:]!r}"


def openai_client(endpoint: Endpoint) -> str:
    import openai

    client = openai.OpenAI(base_url=endpoint.url, api_key=endpoint.token)
    ask: Any = {"model": endpoint.model, "messages": [{"role": "user", "content": "Reverse: 12"}], "max_tokens": 30}
    whole: Any = client.chat.completions.create(**ask, temperature=0, logprobs=True, top_logprobs=2)
    with client.chat.completions.stream(**ask, temperature=0) as stream:
        final = stream.get_final_completion()
    several = [client.chat.completions.create(**ask, temperature=1, n=3, seed=1).choices for _ in range(2)]
    tokens = whole.choices[0].logprobs.content
    extra = {"top_k": 1, "chat_template_kwargs": {"enable_thinking": False}}
    plain: Any = client.completions.create(model=endpoint.model, prompt="Reverse: 12", max_tokens=5)
    works = {
        "a stream": final.choices[0].message.content == whole.choices[0].message.content,
        "n and seed": len({c.index for c in several[0]}) == 3
        and [c.message.content for c in several[0]] == [c.message.content for c in several[1]],
        "logprobs": len(tokens) == whole.usage.completion_tokens and {len(token.top_logprobs) for token in tokens} == {2},
        "top_k and chat_template_kwargs": bool(client.chat.completions.create(**ask, extra_body=extra).choices),
        "completions": plain.usage.completion_tokens <= 5,
        "models": endpoint.model in {model.id for model in client.models.list()},
        "an error of 400": _raises(openai.BadRequestError, lambda: client.chat.completions.create(**ask, temperature=-1)),
        "an error of 404": _raises(openai.NotFoundError, lambda: client.chat.completions.create(**ask | {"model": "none"})),
    }
    return "works" if all(works.values()) else f"does not: {', '.join(name for name, well in works.items() if not well)}"


def _raises(kind: type[Exception], ask: Callable[[], object]) -> bool:
    try:
        ask()
    except kind:
        return True
    return False


def langchain(endpoint: Endpoint) -> str:
    from langchain_openai import ChatOpenAI  # type: ignore[import-not-found]

    chat = ChatOpenAI(model=endpoint.model, base_url=endpoint.url, api_key=endpoint.token, temperature=0, max_tokens=30)
    whole = chat.invoke("Reverse: 12")
    streamed = "".join(chunk.content for chunk in chat.stream("Reverse: 12"))
    many = chat.batch(["Reverse: 12", "Reverse: 34"])
    return "works" if whole.content == streamed == many[0].content else f"{whole.content!r} is not {streamed!r}"


def lm_eval(endpoint: Endpoint) -> str:
    rows = endpoint.folder / "rows.json"
    rows.write_text("\n".join(json.dumps(row) for row in QUESTIONS))
    (endpoint.folder / "reverse.yaml").write_text(TASK.format(rows=rows))
    done = endpoint.run(
        sys.executable, "-m", "lm_eval", "--model", "local-chat-completions", "--tasks", "reverse", "--include_path", ".",
        "--model_args", f"model={endpoint.model},base_url={endpoint.url}/chat/completions,num_concurrent=2",
        "--apply_chat_template", "--output_path", "out", OPENAI_API_KEY=endpoint.token, HF_HUB_OFFLINE="1",
    )  # fmt: skip
    found = re.search(r"exact_match\W+([\d.]+)", done.stdout)
    return f"works (exact match {found[1]})" if found else f"said {(done.stderr or done.stdout)[-300:]!r}"


def inspect_ai(endpoint: Endpoint) -> str:
    rows = endpoint.folder / "inspect.json"
    rows.write_text(json.dumps(QUESTIONS))
    (endpoint.folder / "task.py").write_text(INSPECT.format(rows=str(rows)))
    done = endpoint.run(
        str(Path(sys.executable).parent / "inspect"), "eval", "task.py", "--model", f"openai-api/ded/{endpoint.model}",
        "--temperature", "0", "--max-tokens", "60", "--display", "plain",
        DED_API_KEY=endpoint.token, DED_BASE_URL=endpoint.url,
    )  # fmt: skip
    found = re.search(r"(?:accuracy|mean):?\s+([\d.]+)", done.stdout)
    return f"works (accuracy {found[1]})" if found else f"said {(done.stderr or done.stdout)[-300:]!r}"


def openai_tests(endpoint: Endpoint) -> str:
    """Needs Python 3.13."""
    program, found = str(Path(sys.executable).parent / "openai-tests"), []
    for module, more in (("list-models", []), ("text-simple", ["--model", endpoint.model])):
        done = endpoint.run(program, module, "--base-url", endpoint.url, "--api-key", endpoint.token, *more)
        found.append(f"{module}: {'works' if done.returncode == 0 else (done.stdout + done.stderr)[-600:]!r}")
    return "; ".join(found)


def schemathesis(endpoint: Endpoint) -> str:
    """Hundreds of requests made of the schema: none may be answered by 5xx."""
    program = str(Path(sys.executable).parent / "schemathesis")
    done = endpoint.run(
        program, "run", endpoint.url.removesuffix("/v1") + "/openapi.json", "-H", f"Authorization: Bearer {endpoint.token}",
        "--checks", "not_a_server_error", "--max-examples", "100", "--request-timeout", "60",
    )  # fmt: skip
    return "works" if done.returncode == 0 else f"exit code {done.returncode}: {done.stdout[-600:]!r}"


CLIENTS: dict[str, tuple[str, Callable[[Endpoint], str]]] = {
    "curl": ("curl", curl),
    "openai": ("openai", openai_client),
    "langchain-openai": ("langchain_openai", langchain),
    "lm-eval": ("lm_eval", lm_eval),
    "inspect-ai": ("inspect_ai", inspect_ai),
    "openai-tests": ("openai_tests", openai_tests),
    "schemathesis": ("schemathesis", schemathesis),
}


def is_there(name: str) -> bool:
    import importlib.util

    return bool(shutil.which(name)) or importlib.util.find_spec(name) is not None or bool(
        shutil.which(str(Path(sys.executable).parent / name.replace("_", "-")))
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--only", choices=list(CLIENTS))
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        endpoint = Endpoint(arguments.url, arguments.model, Path(folder))
        for name, (module, ask) in CLIENTS.items():
            if arguments.only in {None, name}:
                found[name] = ask(endpoint) if is_there(module) else "not installed"
                print(f"{name}: {found[name]}", file=sys.stderr)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
