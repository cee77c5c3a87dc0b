"""Reports results: sentences, plots, and one page with everything."""
