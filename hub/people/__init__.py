"""Users, tokens and how people sign in."""
