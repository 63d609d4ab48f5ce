"""Sources -> Problem: from the tiny world, or from the user's JSONL or Parquet file."""
