"""What programs send to booking, and what they get, as values with their limits.

Money is in cents, times are in UTC. Browsers send forms, and get HTML: see `views`.
"""
