import time

from ded_ray.runtime.progress import Counts, _line


def test_the_line_says_what_a_person_wants_to_know():
    counts = {"done": 60, "found": 20, "groups": 39, "rollouts": 320, "tokens": 64000, "cut_off": 16, "engines": 3,
              "quarantined": 1, "working": 40.0}  # fmt: skip
    line = _line("teacher answers", 100, "groups", counts, 75)
    assert line.startswith("teacher answers    60/100 groups · 320 rollouts, 1600 tokens/s, 5% cut off · 3 engines · ")
    assert line.endswith("1 in quarantine · 75 s · ETA 40 s"), "without the engines' start and what earlier runs did"


def test_before_anything_is_done():
    assert _line("train", 8, "steps", {}, 2) == "train              0/8 steps · 2 s"


def line_after(monkeypatch, *events):
    """The line of a training of 120 steps after (seconds, steps done) in this order."""
    counts, now = Counts(), 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    for now, done in events:  # noqa: B007 (the clock reads it)
        counts.set(done=done)
    return _line("train", 120, "steps", counts.read(), now)


def test_the_first_eta_waits_for_a_step_whose_length_is_known(monkeypatch):
    assert "ETA" not in line_after(monkeypatch, (0, 0), (30, 0))
    assert "ETA" not in line_after(monkeypatch, (0, 0), (30, 1)), "how long it took to load the model says nothing"
    assert line_after(monkeypatch, (0, 0), (30, 1), (32, 2), (34, 3)).endswith("3/120 steps · 34 s · ETA 234 s")


def test_steps_that_an_interrupted_training_did_before_do_not_count(monkeypatch):
    assert line_after(monkeypatch, (40, 61), (42, 62)).endswith("62/120 steps · 42 s · ETA 116 s")


def test_where_work_has_a_beginning_the_first_unit_counts_too(monkeypatch):
    counts, now = Counts(), 10.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    counts.add(done=20, found=20)
    counts.start()
    now = 20.0
    counts.add(done=4)
    assert _line("student answers", 64, "groups", counts.read(), now).endswith("24/64 groups · 20 s · ETA 100 s")
