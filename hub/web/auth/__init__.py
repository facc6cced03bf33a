"""Who is asking: credentials, limits, sign-in."""
