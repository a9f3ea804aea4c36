"""``python -m tests.docs``: write what is made of the code."""

from __future__ import annotations

from tests.docs.reference import FILE, text

FILE.write_text(text())
print(f"Wrote {FILE.name}")
