"""An evaluation takes the road of every answer: a kill asks nothing twice, and a refused prompt stays in the books."""

import json
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from ded_ray.errors import Stopped
from ded_ray.evaluate.intervals import Bootstrap
from ded_ray.evaluate.scores import score
from ded_ray.files.parts import read_records
from ded_ray.generate.identity import group_seed
from ded_ray.recipe import Benchmark, Evaluate, Generator, Recipe, Sampling, Student, Teacher, TinyProblems
from ded_ray.records import Group
from ded_ray.run import Run
from ded_ray.serve import ray_serve
from ded_ray.stages.evaluate import Measured, evaluate_models
from ded_ray.tiny.problems import make_problems

BENCHMARKS = {"chain": make_problems("chain", 8, (3, 5), 9), "sort": make_problems("sort", 8, (3, 5), 9)}
RIGHT = {problem.prompt: problem.answer for problems in BENCHMARKS.values() for problem in problems}


class Server(ThreadingHTTPServer):
    """An OpenAI-compatible endpoint that knows the answers, and counts what it is asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.seeds: dict[str, int] = {}
        self.refused: set[str] = set()
        self.stops_after: int | None = None
        self.lock = threading.Lock()

    def answer_to(self, prompt):
        return f"\\boxed{{{RIGHT[prompt]}}}"

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = body["messages"][-1]["content"]
        with self.server.lock:
            if self.server.stops_after is not None and self.server.asked.total() >= self.server.stops_after:
                return self.reply(401, {"error": {"message": "no longer"}})
            self.server.asked[prompt] += 1
            self.server.seeds[prompt] = body["seed"]
        if prompt in self.server.refused:
            return self.reply(400, {"error": {"message": "this prompt is refused"}})
        message = {"role": "assistant", "content": self.server.answer_to(prompt)}
        choices = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(body["n"])]
        usage = {"prompt_tokens": 9, "completion_tokens": 4 * body["n"], "total_tokens": 9 + 4 * body["n"]}
        return self.reply(200, {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": choices,
                                "usage": usage})  # fmt: skip

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_): ...


@pytest.fixture
def server(monkeypatch):
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        @contextmanager
        def served(*_, **__):
            yield server.url

        monkeypatch.setattr(ray_serve, "served", served)
        yield server
        server.shutdown()


RECIPE = Recipe(
    name="r",
    seed=5,
    problems=TinyProblems(),
    student=Student(model="tiny/student"),
    teacher=Teacher(model="tiny/careful"),
    evaluate=Evaluate(
        sampling=Sampling(num_rollouts=2, max_tokens=50),
        concurrency=1,
        benchmarks=tuple(Benchmark(name=name, domain="in", problems=TinyProblems()) for name in BENCHMARKS),
    ),
)


def evaluated(folder, checkpoint="token"):
    """{benchmark: groups}, by the stage that a run of this folder has."""
    run = Run.create(folder, RECIPE)
    stage = run.stage("evaluate_student", ["part"])
    evaluate_models([(stage, Measured("student", Generator(model="anything"), checkpoint))], BENCHMARKS, RECIPE)
    return {name: list(read_records(stage.folder / f"{name}.parquet", Group)) for name in BENCHMARKS}


def test_an_evaluation_that_is_stopped_half_way_asks_nothing_twice(ray_cluster, server, tmp_path):
    server.stops_after = 7
    with pytest.raises(Stopped, match="refuses the key"):
        evaluated(tmp_path / "run")
    assert server.asked.total() == 7
    server.stops_after = None
    groups = evaluated(tmp_path / "run")
    assert set(server.asked) == set(RIGHT)
    assert set(server.asked.values()) == {1}, "every prompt was asked once, over both starts"
    for name, problems in BENCHMARKS.items():
        assert [g.problem_id for g in groups[name]] == [p.problem_id for p in problems]
        assert score(groups[name], Bootstrap(100, 0))["pass_at_1"] == 1.0
    evaluated(tmp_path / "run", checkpoint="of other weights")
    assert set(server.asked.values()) == {2}, "another checkpoint under the same name is asked anew"


@pytest.mark.slow
def test_models_are_compared_on_the_same_random_streams(ray_cluster, server, tmp_path):
    evaluated(tmp_path / "run")
    for problems in BENCHMARKS.values():
        for problem in problems:
            assert server.seeds[problem.prompt] == group_seed(5, problem.problem_id, "evaluate"), "no model is in the seed"


@pytest.mark.slow
def test_a_refused_prompt_is_unchecked_and_stays_in_the_denominator(ray_cluster, server, tmp_path):
    server.refused = {BENCHMARKS["sort"][2].prompt}
    groups = evaluated(tmp_path / "run")["sort"]
    assert len(groups) == 8
    found = score(groups, Bootstrap(100, 0))
    assert (found["num_samples"], found["num_unchecked"], found["num_problems"]) == (16, 2, 8)
    assert found["pass_at_1"] == 7 / 8
    [line] = Run.open(tmp_path / "run").ledger()
    assert (line["rows_in"], line["rows_kept"], line["dropped"]) == (32, 30, {"unverifiable": 2})
    assert "this prompt is refused" in (tmp_path / "run" / "quarantine.jsonl").read_text()
