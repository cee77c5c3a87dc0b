"""Data sets for ``headfit demo``: two of real images, four generated ones that teach."""
