"""Candidates -> the one teacher that teaches this student best: DED's smoke test, and what may stand in for it.

`measure.py` says what a corpus of answers looks like to the student, `select.py` holds the rule; `stages/smoke_test.py`
runs the test.
"""
