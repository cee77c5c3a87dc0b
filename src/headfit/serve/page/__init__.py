"""The page for people: its template, its style and its script, sent as one file."""
