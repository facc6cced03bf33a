"""Commands decided: drafted, moved on, settled once. Values in, Changes out."""
