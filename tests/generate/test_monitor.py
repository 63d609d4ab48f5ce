import json

import pytest

from ded_ray.errors import Stopped
from ded_ray.generate import monitor as module
from ded_ray.generate.monitor import MANY_REFUSED, EngineMonitor, Finished, read_quarantine
from ded_ray.records import stable_hash

POISON, OTHER, THIRD = (stable_hash(name) for name in "abc")


@pytest.fixture
def monitor(tmp_path):
    return EngineMonitor(tmp_path / "quarantine.jsonl", 5)


def begin(monitor, engine, *names):
    return monitor.begin(engine, {name: f"problem {name}" for name in names})[0]


def test_what_was_finished_is_looked_for_when_ray_asks_again(monitor):
    monitor.register("e", "here")
    assert begin(monitor, "e", OTHER) == {OTHER: "make"}
    monitor.finish("e", {OTHER: Finished(8, 100, 1)})
    assert begin(monitor, "e", OTHER) == {OTHER: "again"}
    monitor.finish("e", {OTHER: Finished(8, 100, 1)})
    counts = monitor.read()
    assert counts.pop("working") < 60
    assert counts == {"done": 1, "groups": 1, "rollouts": 8, "tokens": 100, "cut_off": 1, "engines": 1}, "counted once"


def test_a_prompt_that_kills_three_engines_goes_to_quarantine_and_its_company_does_not(monitor, tmp_path):
    monitor.register("e", "here")
    assert set(begin(monitor, "e", POISON, OTHER).values()) == {"make"}
    monitor.register("e", "here")
    assert set(begin(monitor, "e", POISON, OTHER).values()) == {"again"}
    monitor.register("e", "here")
    assert begin(monitor, "e", POISON) == {POISON: "alone"}
    assert begin(monitor, "e", OTHER, THIRD) == {OTHER: "alone", THIRD: "make"}


def test_only_what_was_in_flight_when_it_died_is_to_blame(monitor, tmp_path):
    monitor.register("e", "here")
    for _ in range(3):
        if begin(monitor, "e", POISON, OTHER)[POISON] == "alone":
            monitor.start_one("e", POISON, f"problem {POISON}")
        monitor.finish("e", {OTHER: Finished(1, 1, 0)})
        monitor.register("e", "here")
    assert begin(monitor, "e", POISON, OTHER) == {POISON: "skip", OTHER: "again"}
    [line] = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["group_id"], found["problem_id"]) == (POISON, f"problem {POISON}")
    assert found["reason"] == "in flight at 3 deaths of engines"
    assert read_quarantine(tmp_path / "quarantine.jsonl") == {POISON: found["reason"]}


def test_restarts_are_bounded(monitor):
    for _ in range(6):
        monitor.register("e", "here")
        begin(monitor, "e", OTHER)
        monitor.finish("e", {OTHER: Finished(1, 1, 0)})
    monitor.register("e", "here")
    with pytest.raises(Stopped, match="6 engines died, and max_deaths is 5"):
        begin(monitor, "e", OTHER)


def test_engines_that_die_while_they_load_count(monitor):
    for _ in range(6):
        monitor.load("e", "m")
    with pytest.raises(Stopped, match="m: 6 engines died, and max_deaths is 5"):
        monitor.load("e", "m")


def test_a_teacher_that_answers_hides_none_that_refuses(monitor):
    for engine, model in (("e", "fine"), ("f", "asked wrongly")):
        monitor.load(engine, model)
        monitor.register(engine, "here")
    for i in range(MANY_REFUSED):
        begin(monitor, "e", stable_hash("e", i))
        monitor.finish("e", {stable_hash("e", i): Finished(1, 1, 0)})
        begin(monitor, "f", stable_hash("f", i))
        monitor.refuse("f", stable_hash("f", i), "no")
    with pytest.raises(Stopped, match="asked wrongly: 20 prompts"):
        begin(monitor, "f", OTHER)


def test_a_model_that_refuses_nearly_everything_stops_the_run(monitor):
    monitor.register("e", "here")
    for i in range(MANY_REFUSED):
        begin(monitor, "e", stable_hash(i))
        monitor.refuse("e", stable_hash(i), "too long")
    with pytest.raises(Stopped, match="20 prompts could not be answered, more than could"):
        begin(monitor, "e", OTHER)


def test_it_says_in_one_line_what_is_stuck(monitor, monkeypatch):
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now)
    assert monitor.stall_message() is None
    now += 130
    assert (
        monitor.stall_message() == "no engine is ready after 130 s; `ray status` says whether the cluster has room for one"
    )
    assert monitor.stall_message() is None, "once, not with every line of progress"
    monitor.register("e", "node 1, process 7")
    now += 300
    monitor.expect("big")
    assert "no engine of big is ready after 300 s" in monitor.stall_message()
    monitor.load("f", "big")
    monitor.register("f", "there")
    now += 300
    assert monitor.stall_message() is None, "nothing is in flight: what comes before is slow, and engines are not to blame"
    begin(monitor, "e", OTHER)
    now += 121
    monitor.heartbeat("e")
    now += 4
    assert monitor.stall_message() == (
        "no group for 425 s: 1 in flight, 1 of 2 engines alive, the oldest problem "
        f"'problem {OTHER}' for 125 s on node 1, process 7, last heard of 4 s ago"
    )
    now += 40
    assert monitor.read()["engines"] == 0
