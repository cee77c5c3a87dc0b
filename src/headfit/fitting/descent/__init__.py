"""Heads trained by gradient descent, many small networks at once."""
