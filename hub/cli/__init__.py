"""The hub's command line: arguments, the demo, and the verbs that need no running hub."""
