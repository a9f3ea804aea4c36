"""The objects' SQL: schemas, and functions that return domain values. One noun, one file."""
