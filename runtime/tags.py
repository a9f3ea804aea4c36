"""Tags, by which an object finds its sockets again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

MAX_TAGS: Final = 10  # of one socket
MAX_TAG_LENGTH: Final = 256  # characters


def distinct(tags: Sequence[str]) -> tuple[str, ...]:
    """Return each tag once, in order.

    Raises:
        TypeError: If they aren't several texts.
        ValueError: If they are more than 10, or one has more than 256 characters.
    """
    if isinstance(tags, str):
        raise TypeError(f"tags are a sequence of texts, not the text {tags!r}")
    once = tuple(dict.fromkeys(tags))
    if len(once) > MAX_TAGS:
        raise ValueError(f"a Hibernatable WebSocket cannot have more than {MAX_TAGS} tags")
    for tag in once:
        if not isinstance(tag, str):
            raise TypeError(f"a tag is text, not {tag!r}")
        if len(tag) > MAX_TAG_LENGTH:
            raise ValueError(
                f'"{tag}" is longer than the max tag length ({MAX_TAG_LENGTH} characters).'
            )
    return once
