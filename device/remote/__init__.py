"""Remote sessions: who may begin one, and what it may reach."""
