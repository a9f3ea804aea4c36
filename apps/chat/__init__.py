"""A chat room: one object per room."""
