"""Heads: from a feature map to class probabilities."""
