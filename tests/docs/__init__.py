"""Documentation that is made of the code, and what proves that the rest fits it."""
