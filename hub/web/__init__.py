"""What meets the outside: sockets of machines and browsers, pages, REST, authentication."""
