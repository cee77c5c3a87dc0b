"""Compares heads: corrected tests, the verdict, and what int8 changes."""
