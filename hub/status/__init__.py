"""What a machine is declared to be, by itself or by a person."""
