"""A finished model: how it is put together, saved, loaded and run."""
