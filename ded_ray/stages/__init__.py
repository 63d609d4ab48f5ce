"""What a run does, a file per step: here, and only here (and in `report/`), a run's folder meets a room.

`pipeline.py` calls these files in order. `answers.py` is the step that student, teachers and evaluations share.
"""
