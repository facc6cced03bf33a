"""What the agent asks of the operating system: narrow requests to its own services, never a shell, never sudo."""
