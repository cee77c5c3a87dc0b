"""Checks for well-known mistakes in a saved model, one kind per file."""
