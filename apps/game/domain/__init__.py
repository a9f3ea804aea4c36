"""The rules of the games, and of a match between two people. No I/O, no clock, no randomness."""
