"""Machines: added, edited, removed, and the head of every page of one."""
