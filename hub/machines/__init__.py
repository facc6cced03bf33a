"""Machines themselves: added, edited, removed, and what every page of one has on top."""
