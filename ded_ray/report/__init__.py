"""A run's folder -> one HTML page that works offline, and views for the terminal."""
