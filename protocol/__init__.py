"""The wire between a machine and the hub: types, codec, and the link as a table.

Imported by both processes and importing neither; no await, no socket, no clock. `docs/protocol.md` describes it.
"""
