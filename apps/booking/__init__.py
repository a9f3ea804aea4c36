"""Booking: seats sold live to a crowd, never twice."""
