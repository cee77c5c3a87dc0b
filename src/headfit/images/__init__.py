"""From image files to the arrays that a backbone takes."""
