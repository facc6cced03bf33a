"""What decides on the machine: values and `now` in, values out; no await, socket, clock or file."""
