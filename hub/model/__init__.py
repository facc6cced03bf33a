"""What the hub decides with: machines, changes, health and views as values. No await, socket, clock or database."""
