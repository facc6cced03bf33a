"""The pages that a machine serves on its own loopback, in the operator's browser: a proxy through a lease's tunnel.

What the machine sends is hostile. It runs on an origin of its own (or on none), and gets nothing of the hub's.
"""
