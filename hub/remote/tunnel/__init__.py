"""The tunnel of a remote session: streams to a machine over a second socket."""
