"""The steps, in the order of the numbers their names begin with. A step that was released never changes."""
