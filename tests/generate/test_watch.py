import json

import pytest

from ded_ray.generate import watch as module
from ded_ray.generate.watch import MANY_REFUSED, Finished, Watch, read_quarantine
from ded_ray.knobs import Stopped
from ded_ray.records import stable_hash

POISON, OTHER, THIRD = (stable_hash(name) for name in "abc")


@pytest.fixture
def watch(tmp_path):
    return Watch(tmp_path / "quarantine.jsonl", 5)


def begin(watch, engine, *names):
    return watch.begin(engine, {name: f"problem {name}" for name in names})[0]


def test_what_was_finished_is_looked_for_when_ray_asks_again(watch):
    watch.enrol("e", "here")
    assert begin(watch, "e", OTHER) == {OTHER: "make"}
    watch.finish("e", {OTHER: Finished(8, 100, 1)})
    assert begin(watch, "e", OTHER) == {OTHER: "again"}
    watch.finish("e", {OTHER: Finished(8, 100, 1)})
    counts = watch.read()
    assert counts.pop("working") < 60
    assert counts == {"done": 1, "groups": 1, "rollouts": 8, "tokens": 100, "cut_off": 1, "engines": 1}, "counted once"


def test_a_prompt_that_kills_three_engines_goes_to_quarantine_and_its_company_does_not(watch, tmp_path):
    watch.enrol("e", "here")
    assert set(begin(watch, "e", POISON, OTHER).values()) == {"make"}
    watch.enrol("e", "here")
    assert set(begin(watch, "e", POISON, OTHER).values()) == {"again"}
    watch.enrol("e", "here")
    assert begin(watch, "e", POISON) == {POISON: "alone"}
    assert begin(watch, "e", OTHER, THIRD) == {OTHER: "alone", THIRD: "make"}


def test_only_what_was_in_flight_when_it_died_is_to_blame(watch, tmp_path):
    watch.enrol("e", "here")
    for _ in range(3):
        if begin(watch, "e", POISON, OTHER)[POISON] == "alone":
            watch.start_one("e", POISON, f"problem {POISON}")
        watch.finish("e", {OTHER: Finished(1, 1, 0)})
        watch.enrol("e", "here")
    assert begin(watch, "e", POISON, OTHER) == {POISON: "skip", OTHER: "again"}
    [line] = (tmp_path / "quarantine.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["group_id"], found["problem_id"]) == (POISON, f"problem {POISON}")
    assert found["reason"] == "in flight at 3 deaths of engines"
    assert read_quarantine(tmp_path / "quarantine.jsonl") == {POISON: found["reason"]}


def test_restarts_are_bounded(watch):
    for _ in range(6):
        watch.enrol("e", "here")
        begin(watch, "e", OTHER)
        watch.finish("e", {OTHER: Finished(1, 1, 0)})
    watch.enrol("e", "here")
    with pytest.raises(Stopped, match="6 engines died, and max_deaths is 5"):
        begin(watch, "e", OTHER)


def test_engines_that_die_while_they_load_count(watch):
    for _ in range(6):
        watch.load("e", "m")
    with pytest.raises(Stopped, match="m: 6 engines died, and max_deaths is 5"):
        watch.load("e", "m")


def test_a_teacher_that_answers_hides_none_that_refuses(watch):
    for engine, model in (("e", "fine"), ("f", "asked wrongly")):
        watch.load(engine, model)
        watch.enrol(engine, "here")
    for i in range(MANY_REFUSED):
        begin(watch, "e", stable_hash("e", i))
        watch.finish("e", {stable_hash("e", i): Finished(1, 1, 0)})
        begin(watch, "f", stable_hash("f", i))
        watch.refuse("f", stable_hash("f", i), "no")
    with pytest.raises(Stopped, match="asked wrongly: 20 prompts"):
        begin(watch, "f", OTHER)


def test_a_model_that_refuses_nearly_everything_stops_the_run(watch):
    watch.enrol("e", "here")
    for i in range(MANY_REFUSED):
        begin(watch, "e", stable_hash(i))
        watch.refuse("e", stable_hash(i), "too long")
    with pytest.raises(Stopped, match="20 prompts could not be answered, more than could"):
        begin(watch, "e", OTHER)


def test_it_says_in_one_line_what_is_stuck(watch, monkeypatch):
    now = module.time.time()
    monkeypatch.setattr(module.time, "time", lambda: now)
    assert watch.complaint() is None
    now += 130
    assert watch.complaint() == "no engine is ready after 130 s; `ray status` says whether the cluster has room for one"
    assert watch.complaint() is None, "once, not with every line of progress"
    watch.enrol("e", "node 1, process 7")
    now += 300
    watch.expect("big")
    assert "no engine of big is ready after 300 s" in watch.complaint()
    watch.load("f", "big")
    watch.enrol("f", "there")
    now += 300
    assert watch.complaint() is None, "nothing is in flight: what comes before is slow, and engines are not to blame"
    begin(watch, "e", OTHER)
    now += 121
    watch.beat("e")
    now += 4
    assert watch.complaint() == (
        "no group for 425 s: 1 in flight, 1 of 2 engines alive, the oldest problem "
        f"'problem {OTHER}' for 125 s on node 1, process 7, last heard of 4 s ago"
    )
    now += 40
    assert watch.read()["engines"] == 0
