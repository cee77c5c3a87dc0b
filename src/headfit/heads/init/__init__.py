"""Initial weights that depend on training images."""
