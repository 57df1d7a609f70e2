"""What the web port answers."""
