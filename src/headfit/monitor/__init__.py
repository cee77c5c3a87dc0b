"""Watching a run while it goes on: its progress as a file, and as a page on loopback."""
