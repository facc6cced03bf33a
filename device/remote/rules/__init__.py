"""What decides in remote sessions: values in, values out."""
