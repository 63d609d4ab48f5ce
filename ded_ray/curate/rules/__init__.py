"""Quality, a rule per file. `CASES` show what a rule drops, and are its test."""
