"""The tutorials in the browser."""
