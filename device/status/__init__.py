"""The machine's status: declared, changed by commands, given back."""
