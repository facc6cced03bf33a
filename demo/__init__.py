"""The demo: simulated machines, their camera, and the scenes that `run_hub.py --demo` plays."""
