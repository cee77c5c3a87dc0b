"""Where a classifier looks: what each position of the feature map adds to a class's logit."""
