"""Is one head better than another, beyond the noise? Statistics and the verdict."""
