"""One command for many machines at once, by REST and as a page."""
