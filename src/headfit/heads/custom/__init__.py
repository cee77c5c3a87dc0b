"""Custom heads: a function from a Keras tensor to a Keras tensor, or a saved model."""
