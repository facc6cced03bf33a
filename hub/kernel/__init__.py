"""What every subject stands on and what moves: commits, the feed, retries, object stores. Knows no subject."""
