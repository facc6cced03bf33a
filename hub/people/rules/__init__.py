"""Accounts decided: who comes in, with what, and what ends it. Values in, Changes out."""
