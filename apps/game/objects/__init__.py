"""What must happen in one place, one event at a time: a match, the lobby, a player."""
