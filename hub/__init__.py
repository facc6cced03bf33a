"""The hub: it holds the machines' links, records every change, and serves REST and the dashboard."""
