"""Opens databases, compiles statements, commits transactions. Knows no table of the product."""
