"""Candidates -> the one teacher that teaches this student best: DED's smoke test, and what may stand in for it.

`measure.py` says what a corpus of answers looks like to the student, `choice.py` holds the rule; `smoke.py`, a floor above,
runs the test's stages.
"""
