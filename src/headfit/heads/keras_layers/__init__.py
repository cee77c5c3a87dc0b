"""headfit's own Keras layers, one class a file."""
