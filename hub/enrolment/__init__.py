"""Machines come into the fleet: one-time codes, who came with one, approval."""
