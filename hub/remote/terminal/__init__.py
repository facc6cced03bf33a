"""Terminals on machines, as browsers see them."""
