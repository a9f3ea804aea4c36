"""``python -m tests.conformance``: renew the table in tests/README.md."""

from tests.conformance.sections import README, readme

if __name__ == "__main__":
    README.write_text(readme())
