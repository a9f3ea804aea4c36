"""Looking for words: from what people type to what SQLite's full-text search understands."""

from __future__ import annotations

import re
import unicodedata

from apps.chat.domain.refusals import Unacceptable

MAX_SEARCH = 100  # characters
_WORD = re.compile(r"[^\W_]+")


def search_expression(text: str) -> str:
    """Return the full-text expression for all words of a text; of the last, the beginning does.

    Each word is quoted, so nothing in a text is taken for the syntax of FTS5.

    Raises:
        Unacceptable: If there is no word in it, or it is too long.
    """
    if len(text) > MAX_SEARCH:
        raise Unacceptable(f"a search has at most {MAX_SEARCH} characters")
    words = _WORD.findall(unicodedata.normalize("NFC", text))
    if not words:
        raise Unacceptable("type a word to look for")
    return " ".join(f'"{word}"' for word in words) + "*"
