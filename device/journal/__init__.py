"""What the machine must not lose: facts on disk, and what follows from them."""
