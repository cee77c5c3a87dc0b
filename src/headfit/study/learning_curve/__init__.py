"""What more images would bring."""
