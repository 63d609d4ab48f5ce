"""Entry points for `ray job submit`, recipes and benchmarks."""
