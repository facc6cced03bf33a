"""Remote sessions: who may begin one, and what it may reach. Nothing here moves a byte of one."""
