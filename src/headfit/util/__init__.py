"""What every package may use and that knows nothing of images: files, digests, child processes."""
