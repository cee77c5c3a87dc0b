"""Data sets for ``headfit demo``: two of real images, two generated ones that teach."""
