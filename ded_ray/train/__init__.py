"""Examples -> a student checkpoint: reward-weighted supervised fine-tuning on Ray Train."""
