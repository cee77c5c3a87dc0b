"""What a backbone or a saved model is made of, what other heads would cost, what looks wrong."""
