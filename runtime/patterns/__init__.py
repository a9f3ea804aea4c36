"""What many objects need, made of the public names of `runtime` alone. Use it, or copy it."""
