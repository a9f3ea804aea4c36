"""A rush for seats over real HTTP, at a server that is killed again and again."""
