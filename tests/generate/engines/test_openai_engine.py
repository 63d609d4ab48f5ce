"""The endpoint engine against a small server that misbehaves in every way that real ones do."""

import asyncio
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest
import ray
from pydantic import SecretStr

from ded_ray.errors import BadInput, Stopped
from ded_ray.files.parts import read_records
from ded_ray.generate.engine import Refusal, Request
from ded_ray.generate.engines import openai as openai_engine
from ded_ray.generate.engines.budget import Budget, Cost, read_costs
from ded_ray.generate.engines.openai import Endpoint
from ded_ray.generate.identity import GenerateJob
from ded_ray.generate.load_engine import key_of
from ded_ray.generate.monitor import EngineMonitor
from ded_ray.generate.ray_data import generate
from ded_ray.generate.store import compact
from ded_ray.recipe import Adaptive, Generator, OpenAIEngine, Sampling, Teacher
from ded_ray.records import Group, Problem, to_table

KEY = "sk-very-secret"


class Misbehaving(ThreadingHTTPServer):
    """Answers with the next of `script`, then properly; notes every request's body and when it came."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script, self.bodies, self.times, self.max_choices, self.message = [], [], [], 99, {"content": "so 4"}
        self.finish_reasons = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_): ...

    def do_POST(self):
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        server.bodies.append(body)
        server.times.append(time.monotonic())
        fault = server.script.pop(0) if server.script else None
        match fault:
            case int():
                self.reply(fault, {"error": {"message": f"fault {fault}"}})
            case "no quota":
                self.reply(429, {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}})
            case "echo":
                self.reply(401, {"error": {"message": f"Invalid key {self.headers['authorization'].split()[-1]}"}})
            case "late":
                time.sleep(3)
                self.reply(200, self.answer(body))
            case "after a third":
                while len(server.bodies) < 3:
                    time.sleep(0.01)
                self.reply(200, self.answer(body))
            case "retry-after":
                self.reply(429, {"error": {"message": "slow down"}}, {"retry-after": "1"})
            case "cut":
                self.send_response(200)
                self.send_header("content-length", "1000")
                self.end_headers()
                self.wfile.write(b'{"choices": [')
            case "slow":
                self.send_response(200)
                self.send_header("content-length", "100000")
                self.end_headers()
                for _ in range(200):
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.05)
            case "malformed":
                self.reply(200, b'{"choices": [{"message": {"content": "unfinished')
            case "html":
                self.reply(200, b"<html>Bad gateway</html>", {"content-type": "text/html"})
            case "empty":
                self.reply(200, {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []})
            case None:
                self.reply(200, self.answer(body))

    def answer(self, body):
        reasons = self.server.finish_reasons
        choices = [
            {"index": i, "message": {"role": "assistant", **self.server.message},
             "finish_reason": reasons.pop(0) if reasons else "stop"}
            for i in range(min(body["n"], self.server.max_choices))
        ]  # fmt: skip
        usage = {"prompt_tokens": 10, "completion_tokens": 5 * len(choices), "total_tokens": 10 + 5 * len(choices)}
        return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}

    def reply(self, status, content, headers=None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(openai_engine, "backoff", lambda _: 0.05)
    server = Misbehaving()
    yield server
    server.shutdown()
    server.server_close()


def requests(count=1, num_rollouts=3, max_tokens=20):
    sampling = Sampling(num_rollouts=num_rollouts, max_tokens=max_tokens)
    return [Request([{"role": "user", "content": "2+2?"}], sampling, 1000 * i) for i in range(count)]


def ask(server, tmp_path, asked, **config):
    config = OpenAIEngine.model_validate({"base_url": server.url, "max_retries": 3, "timeout_seconds": 1} | config)

    async def run():
        engine = Endpoint("m", config, key=SecretStr(KEY), costs=tmp_path / "spent.jsonl")
        async with asyncio.timeout(60):  # what waits for itself fails
            return [answer async for _, answer in engine.generate(asked)]

    return asyncio.run(run())


def spent(tmp_path):
    return sum(cost.tokens for cost in read_costs(tmp_path / "spent.jsonl").values())


@pytest.mark.parametrize(
    "script",
    [[500], [503, 429], [408], ["cut"], ["malformed"], ["html"], ["empty"], ["slow"], ["retry-after"], [409, "cut", 500]],
    ids=str,
)
def test_what_may_pass_is_tried_again(server, tmp_path, script):
    server.script = list(script)
    [rollouts] = ask(server, tmp_path, requests())
    assert [(r.index, r.completion, r.num_tokens, r.finish_reason, r.seed) for r in rollouts] == [
        (i, "so 4", 5, "stop", i) for i in range(3)
    ]
    assert len(server.bodies) == len(script) + 1
    if script == ["retry-after"]:
        assert server.times[1] - server.times[0] >= 1


def test_what_does_not_pass_is_refused_with_its_reason(server, tmp_path):
    server.script = [500, "after a third", 500, 500, 500]  # the other one is answered when the first has failed once
    [refused] = [answer for answer in ask(server, tmp_path, requests(2)) if isinstance(answer, Refusal)]
    assert "fault 500" in refused.reason
    assert len(server.bodies) == 5
    server.script = [400]
    [refused] = ask(server, tmp_path, requests(1))
    assert "fault 400" in refused.reason
    assert len(server.bodies) == 6, "a request that is wrong is not sent again"


def test_an_endpoint_that_answers_nobody_stops_the_run_and_refuses_no_prompt(server, tmp_path):
    server.script = [500] * 4
    with pytest.raises(Stopped, match=r"answers nothing, 3 retries included: InternalServerError.*fault 500"):
        ask(server, tmp_path, requests(1))
    with pytest.raises(Stopped, match=r"answers nothing.*ConnectError"):
        ask(server, tmp_path, requests(1), base_url="http://127.0.0.1:9/v1")
    assert spent(tmp_path) == 0, "what was never sent costs nothing"


def test_an_endpoint_that_goes_down_blames_no_prompt_that_it_was_asked_before(server, tmp_path):
    server.script = ["slow", None, 500, 500, 500]  # one of the two is answered; then nobody is
    with pytest.raises(Stopped, match="answers nothing"):
        ask(server, tmp_path, requests(2))


@pytest.mark.parametrize("fault", [402, "no quota"])
def test_an_account_without_money_stops_the_run_at_once(server, tmp_path, fault):
    server.script = [fault]
    with pytest.raises(Stopped, match="wants to be paid"):
        ask(server, tmp_path, requests())
    assert len(server.bodies) == 1


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_key_or_a_model_that_is_wrong_stops_the_run(server, tmp_path, status):
    server.script = [status]
    with pytest.raises(Stopped, match="refuses the key, or has no model 'm'") as stopped:
        ask(server, tmp_path, requests())
    assert "has no model" in str(stopped.value)


def test_the_key_is_not_repeated_when_the_endpoint_does(server, tmp_path):
    server.script = ["echo"]
    with pytest.raises(Stopped, match=r"Invalid key \$OPENAI_API_KEY") as stopped:
        ask(server, tmp_path, requests())
    assert KEY not in str(stopped.value)


@pytest.mark.parametrize("url", ["api.example.com/v1", "", "http://me:secret@host/v1", "https://host/v1?key=secret"])
def test_addresses_that_cannot_be_used_or_hold_secrets(url):
    with pytest.raises(ValueError, match="base_url"):
        OpenAIEngine(base_url=url)


def test_fewer_choices_than_asked_for_are_filled_up(server, tmp_path):
    server.max_choices = 1
    [rollouts] = ask(server, tmp_path, requests(num_rollouts=3))
    assert [r.index for r in rollouts] == [0, 1, 2]
    assert [(body["n"], body["seed"]) for body in server.bodies] == [(3, 0), (2, 1), (1, 2)]
    server.bodies.clear()
    ask(server, tmp_path, requests(num_rollouts=3), choices_per_request=1)
    assert [body["n"] for body in server.bodies] == [1, 1, 1]


def test_filtered_choices_are_asked_for_again_and_what_was_paid_for_is_kept(server, tmp_path):
    server.finish_reasons = ["content_filter", "length", "stop"]
    [rollouts] = ask(server, tmp_path, requests())
    assert [r.finish_reason for r in rollouts] == ["length", "stop", "stop"]
    server.script = [None, 400]
    server.finish_reasons = ["content_filter"]
    [rollouts] = ask(server, tmp_path, requests())
    assert len(rollouts) == 2


def test_thoughts_that_the_endpoint_separates_are_kept(server, tmp_path):
    for name in ("reasoning_content", "reasoning"):
        server.message = {"content": r"\boxed{4}", name: "two and two"}
        [rollouts] = ask(server, tmp_path, requests(num_rollouts=1))
        assert rollouts[0].completion == "<think>\ntwo and two\n</think>\n\n\\boxed{4}"


def test_the_cap_is_never_exceeded_and_earlier_runs_count(server, tmp_path):
    """A group costs 25 tokens, and may cost 17 + 3 x 20."""
    with pytest.raises(Stopped, match="the next group may exceed the cap"):
        ask(server, tmp_path, requests(20), max_tokens_spent=200)
    assert 200 - 77 <= spent(tmp_path) <= 200
    assert spent(tmp_path) == 25 * len(server.bodies)
    before = len(server.bodies)
    with pytest.raises(Stopped):
        ask(server, tmp_path, requests(1), max_tokens_spent=200)
    assert len(server.bodies) == before
    assert len(ask(server, tmp_path, requests(2), max_tokens_spent=1000)) == 2


def test_money_is_counted_by_its_two_prices(server, tmp_path):
    prices = {"usd_per_million_prompt_tokens": 1e6, "usd_per_million_completion_tokens": 2e6}
    with pytest.raises(Stopped, match=r"\(40\.00 USD\)"):  # 10 + 15 x 2 a group; 17 + 60 x 2 set aside for one
        ask(server, tmp_path, requests(5), max_usd=150, **prices)
    with pytest.raises(ValueError, match="max_usd: needs usd_per_million"):
        OpenAIEngine(max_usd=1)


def test_an_answer_that_was_cut_off_may_have_cost_all_that_it_could(server, tmp_path):
    server.script = ["cut", 500]
    ask(server, tmp_path, requests())
    assert spent(tmp_path) == 77 + 25


def test_two_that_wait_for_each_other_stop(server, tmp_path):
    """Each has spent all that was set aside for it, and its retry needs what the other has."""
    server.script = ["cut", "cut"]
    with pytest.raises(Stopped, match="the next group may exceed the cap"):
        ask(server, tmp_path, requests(2), max_tokens_spent=160)
    assert spent(tmp_path) == 2 * 77


def test_a_request_that_a_kill_cut_off_counts_in_full(tmp_path):
    budget = Budget(OpenAIEngine(), tmp_path / "spent.jsonl")
    budget.record_request(Cost(10, 60))
    with (tmp_path / "spent.jsonl").open("a") as file:
        file.write('{"request": "torn')
    assert Budget(OpenAIEngine(), tmp_path / "spent.jsonl").spent == Cost(10, 60)


def test_rates_are_kept(server, tmp_path, monkeypatch):
    monkeypatch.setattr(openai_engine, "MINUTE", 1.0)

    def last_came(count, **rate):
        """How long after the first could have come, in minutes: on a busy machine all come later, none sooner."""
        started = time.monotonic()
        ask(server, tmp_path, requests(count), **rate)
        return server.times[-1] - started

    assert last_came(8, requests_per_minute=4) > 0.95, "so many in each minute"
    assert last_came(6, tokens_per_minute=160) > 0.9, "77 are expected of the first, fewer of later ones"
    assert last_came(2, requests_per_minute=0.8) > 1.2


def test_no_more_problems_are_asked_at_once_than_the_recipe_says(server, tmp_path):
    server.script = ["slow"] * 3
    with pytest.raises(Stopped):
        ask(server, tmp_path, requests(3), in_flight=1, max_retries=1, timeout_seconds=0.3)
    assert len(server.bodies) == 2


def test_the_key_comes_from_the_environment_and_goes_nowhere_else(server, tmp_path, monkeypatch):
    generator = Generator(model="m", engine=OpenAIEngine(base_url=server.url, api_key_env="MY_KEY"))
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(BadInput, match=r"\$MY_KEY is not set"):
        key_of(generator)
    monkeypatch.setenv("MY_KEY", KEY)
    assert KEY not in repr(key_of(generator)) + str(key_of(generator)) + generator.model_dump_json()


def test_the_first_rounds_of_adaptive_sampling_are_kept_when_the_run_stops(server, tmp_path, monkeypatch, ray_cluster):
    monkeypatch.setenv("MY_KEY", KEY)
    server.script = [None, 401]
    sampling = Sampling(adaptive=Adaptive(first=2, step=2, at_most=4))
    engine = OpenAIEngine(base_url=server.url, api_key_env="MY_KEY")
    generator = Teacher(model="m", engine=engine, sampling=sampling)
    problems = [Problem(problem_id="p0", prompt="2+2?", answer="4")]
    pq.write_table(to_table(problems, Problem), tmp_path / "p.parquet")
    monitor = ray.remote(num_cpus=0)(EngineMonitor).remote(tmp_path / "quarantine.jsonl", 5)
    groups = tmp_path / "groups"
    job = GenerateJob(generator, 0, groups, tmp_path / "quarantine.jsonl")
    with (
        pytest.raises(Stopped, match=r"m: .*refuses the key") as stopped,
        generate(job, tmp_path / "p.parquet", monitor, lambda: lambda _: False) as plan,
    ):
        plan.take_all()
    assert KEY not in str(stopped.value)
    compact(groups)
    assert sorted((g.problem_id, len(g.rollouts)) for g in read_records(groups, Group)) == [("p0", 2)]
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert KEY.encode() not in written


def test_what_is_in_flight_when_the_run_stops_is_waited_for_and_saved(server, tmp_path, monkeypatch, ray_cluster):
    monkeypatch.setenv("MY_KEY", KEY)
    server.script = ["late", 401]
    generator = Teacher(
        model="m", engine=OpenAIEngine(base_url=server.url, api_key_env="MY_KEY"), sampling=Sampling(num_rollouts=2)
    )
    problems = [Problem(problem_id=f"p{i}", prompt="2+2?", answer="4") for i in range(2)]
    pq.write_table(to_table(problems, Problem), tmp_path / "p.parquet")
    quarantine = tmp_path / "quarantine.jsonl"
    monitor = ray.remote(num_cpus=0)(EngineMonitor).remote(quarantine, 5)
    with (
        pytest.raises(Stopped, match="refuses the key"),
        generate(GenerateJob(generator, 0, tmp_path / "groups", quarantine), tmp_path / "p.parquet", monitor) as plan,
    ):
        plan.take_all()
    assert len(compact(tmp_path / "groups").ids) == 1
