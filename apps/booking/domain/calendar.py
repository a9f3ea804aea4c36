"""An order as an entry for calendars (RFC 5545)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

LENGTH: Final = timedelta(hours=2)  # of an event, for want of anything better
_FOLD_BYTES: Final = 73  # a line has 75, the blank and the line's end included


def entry(uid: str, title: str, seats: tuple[str, ...], starts_at: float, made_at: float) -> str:
    """Return the file's text."""
    begins = datetime.fromtimestamp(starts_at, UTC)
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Dormouse//Booking//EN",
        "BEGIN:VEVENT",
        f"UID:{uid}@dormouse.example",
        f"DTSTAMP:{_stamp(datetime.fromtimestamp(made_at, UTC))}",
        f"DTSTART:{_stamp(begins)}",
        f"DTEND:{_stamp(begins + LENGTH)}",
        f"SUMMARY:{_escaped(title)}",
        f"DESCRIPTION:{_escaped('Seats ' + ', '.join(seats))}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return "".join(f"{_folded(line)}\r\n" for line in lines)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"


def _escaped(text: str) -> str:
    for character in "\\;,":
        text = text.replace(character, f"\\{character}")
    return text.replace("\n", "\\n")


def _folded(line: str) -> str:
    parts, size = [""], 0
    for character in line:
        width = len(character.encode())
        if size + width > _FOLD_BYTES:
            parts.append("")
            size = 0
        parts[-1] += character
        size += width
    return "\r\n ".join(parts)
