"""What makes a comparison fair: identical folds, nested choice of penalties, finished fits kept."""
