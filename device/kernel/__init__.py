"""What every subject of the agent stands on: log, tasks, threads, files on disk, TLS."""
