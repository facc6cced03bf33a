"""What runs beside the agent with other rights than the agent's, and the units that start it."""
