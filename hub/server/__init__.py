"""uvicorn as we want it: connections, protocols, the listening socket, the end of a process."""
