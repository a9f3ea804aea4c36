"""A process under load, killed again and again: what it has said stays true."""
