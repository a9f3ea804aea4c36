"""The reference apps, and what they share: identity, pages, and the server that runs them."""
