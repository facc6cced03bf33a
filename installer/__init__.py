"""Installs the agent or the hub as a service: user, release, unit, and their removal. Standard library only.

It runs as root before any environment exists, decides nothing about machines, and leaves nothing half done: each step
looks whether it is done already, so that an installation that was killed anywhere is finished by the next one.
"""
