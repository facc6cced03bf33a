"""What moves: links, the recorder, the feed and the one door all Changes leave by. It decides nothing."""
