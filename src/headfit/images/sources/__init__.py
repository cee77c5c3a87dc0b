"""Where images come from: each source lists its images and opens one of them."""
