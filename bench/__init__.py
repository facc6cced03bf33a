"""The fleet simulator and the benchmarks, one command each. May import every room; no room imports it."""
