"""From a folder of image files to the arrays that a backbone takes."""
