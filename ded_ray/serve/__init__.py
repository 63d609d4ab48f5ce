"""A checkpoint -> an OpenAI-compatible endpoint on Ray Serve."""
