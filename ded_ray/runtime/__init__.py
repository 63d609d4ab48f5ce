"""The machines under a run: joining Ray, what each step asks of it, progress, memory."""
