"""Booking's handlers: parse, call one object, render one template."""
