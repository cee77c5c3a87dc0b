"""Pretrained networks: their names, their weights, and the fastest way to run them here."""
