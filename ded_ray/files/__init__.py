"""Files, apart from what they mean: user files, Parquet parts, JSON lines."""
