"""Tutorials: folders of steps, each a small complete project with its text beside it."""
