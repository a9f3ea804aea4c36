"""The rules of booking. No I/O, no clock, no randomness: who needs the time is given it."""
