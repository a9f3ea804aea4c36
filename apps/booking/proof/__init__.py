"""The proof: 1,000 buyers, 100 seats and three crashes, in a process and a time of their own.

It is a test that runs on a page, so it uses what tests use: nothing else of the app imports it.
"""
