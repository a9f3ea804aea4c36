"""Whether what was printed is what a text quotes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

ANY_LINES: Final = "..."
ANYTHING: Final = "…"


def check_printed(quoted: Sequence[str], printed: str) -> None:
    """Fail unless `printed` has the quoted lines: ``...`` stands for any lines, ``…`` for any text.

    What is quoted begins with the first line that was printed and ends with the last, unless it
    says otherwise.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line == ANY_LINES else f"{_pattern(line)}[ ]*\n" for line in quoted
    )
    text = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    assert re.fullmatch(pattern, text), "\n".join(["quoted:", *quoted, "", "printed:", text])


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part) for part in line.rstrip().split(ANYTHING))
