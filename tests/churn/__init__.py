"""A soak of the sockets: people come and go for minutes, and nothing is left of them."""
