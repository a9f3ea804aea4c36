"""The tutorials, beside the objects that they are about."""
