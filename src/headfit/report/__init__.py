"""What was found, to look at: plots, and one page that holds everything."""
