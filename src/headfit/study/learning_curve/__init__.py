"""Learning curves: what more images would bring."""
