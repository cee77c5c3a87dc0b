"""What every web server of headfit shares: addresses, refusals, headers, listening."""
