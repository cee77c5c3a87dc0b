"""Solvers for heads that are linear after the pooling: exact, on rotated coordinates."""
