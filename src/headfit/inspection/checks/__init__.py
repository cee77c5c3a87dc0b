"""The well-known mistakes that a saved model can show, one kind a file."""
