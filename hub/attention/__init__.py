"""What is wrong with machines: since when, until when, and who is on it."""
