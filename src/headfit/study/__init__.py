"""The fair comparison: identical folds, metrics, tests, choice and the verdict in words."""
