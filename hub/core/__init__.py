"""What decides: pure functions from values and `now` to values. No await, socket, clock or database here."""
