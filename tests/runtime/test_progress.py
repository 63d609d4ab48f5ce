from ded_ray.runtime.progress import _line


def test_the_line_says_what_a_person_wants_to_know():
    counts = {"done": 60, "found": 20, "groups": 39, "rollouts": 320, "tokens": 64000, "cut_off": 16, "engines": 3,
              "quarantined": 1, "working": 40.0}  # fmt: skip
    line = _line("teacher answers", 100, "groups", counts, 75)
    assert line.startswith("teacher answers    60/100 groups · 320 rollouts, 1600 tokens/s, 5% cut off · 3 engines · ")
    assert line.endswith("1 in quarantine · 75 s · ETA 40 s"), "without the engines' start and what earlier runs did"


def test_before_anything_is_done():
    assert _line("train", 8, "steps", {}, 2) == "train              0/8 steps · 2 s"
