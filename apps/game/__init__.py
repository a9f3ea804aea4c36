"""Games for two: a match is one object, which keeps its log and its clocks."""
