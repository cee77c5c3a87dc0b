"""Where a model looks: what each position of the feature map adds to a logit, or to a number."""
