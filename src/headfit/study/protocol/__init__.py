"""What makes a comparison fair: identical folds for all heads; and fits that are stored."""
