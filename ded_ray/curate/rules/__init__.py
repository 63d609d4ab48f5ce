"""Quality, a rule per file: `drops(answer, knobs)` says whether a completion is not to be learned from. `CASES` show it,
and are its test: (completion, its number of tokens, question, knobs) -> dropped?"""
