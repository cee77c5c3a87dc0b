"""Short programs that run an exported model without headfit, one for each format."""
