"""What each command does, one file a command; each is atomic: a pure step from one state to the next."""
