"""What the tutorials say is so: every change, every command, every output, and what is seen."""
