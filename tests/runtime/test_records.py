"""The journal's format: what can be read back, and what is damage."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import DataFolderRefused
from runtime.records import HEADER_SIZE, VERSION, Entry, Header, Kind, Segment, encode

ENTRIES = [
    [Entry(Kind.COMMIT, "Room/aa.sqlite", 4096, b"a" * 50)],
    [Entry(Kind.COMMIT, "Räume/bb.sqlite", 512, b""), Entry(Kind.REMOVED, "Room/cc.sqlite")],
    [Entry(Kind.COMMIT, "Room/aa.sqlite", 4096, b"DormRec\n" * 20)],  # as in a record's beginning
]
RECORDS = [encode(sequence, entries) for sequence, entries in enumerate(ENTRIES, 7)]
HEADER = Header(number=3, sequence=7, previous_end=1234)
WHOLE = HEADER.encode() + b"".join(RECORDS)
ENDS = [HEADER_SIZE + sum(map(len, RECORDS[:number])) for number in range(len(RECORDS) + 1)]


def written(folder: Path, content: bytes) -> Path:
    path = folder / "000000000003.journal"
    path.write_bytes(content)
    return path


def read(path: Path, end: int | None = None) -> list[Entry]:
    entries = Segment(path).entries(end)
    return [entry._replace(content=bytes(entry.content)) for entry in entries]


def test_what_is_written_can_be_read(folder: Path) -> None:
    path = written(folder, WHOLE)

    assert Segment(path).header == HEADER
    assert read(path) == list(chain.from_iterable(ENTRIES))


def test_an_end_of_zeros_is_no_damage(folder: Path) -> None:
    assert read(written(folder, WHOLE + bytes(5000))) == list(chain.from_iterable(ENTRIES))


@pytest.mark.parametrize("cut", range(HEADER_SIZE, len(WHOLE) + 1))
def test_a_segment_that_is_cut_anywhere_ends_with_its_last_whole_record(
    folder: Path, cut: int
) -> None:
    whole = sum(end <= cut for end in ENDS) - 1

    assert read(written(folder, WHOLE[:cut])) == list(chain.from_iterable(ENTRIES[:whole]))


@pytest.mark.parametrize("cut", range(HEADER_SIZE))
def test_a_segment_without_its_beginning_is_refused(folder: Path, cut: int) -> None:
    with pytest.raises(DataFolderRefused, match="is damaged at byte 0"):
        Segment(written(folder, WHOLE[:cut]))


@pytest.mark.parametrize("at", range(len(WHOLE)))
def test_a_flipped_bit_is_found_wherever_it_is(folder: Path, at: int) -> None:
    path = written(folder, WHOLE[:at] + bytes([WHOLE[at] ^ 0x10]) + WHOLE[at + 1 :])

    if at >= ENDS[-2]:  # the last record might just as well have been under way
        assert read(path) == list(chain.from_iterable(ENTRIES[:-1]))
    else:
        with pytest.raises(DataFolderRefused, match=r"is damaged at byte|newer version"):
            read(path)


@pytest.mark.parametrize("end", [ENDS[1] - 1, ENDS[2] + 1, len(WHOLE) + 1])
def test_a_segment_that_others_follow_ends_where_they_say(folder: Path, end: int) -> None:
    path = written(folder, WHOLE)

    assert read(path, ENDS[2]) == list(chain.from_iterable(ENTRIES[:2]))
    with pytest.raises(DataFolderRefused, match="is damaged"):
        read(path, end)


def test_a_newer_format_is_told_from_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.records.VERSION", VERSION + 1)
    path = written(folder, HEADER.encode())
    monkeypatch.undo()

    with pytest.raises(DataFolderRefused, match="newer version"):
        Segment(path)


@given(
    st.lists(
        st.builds(
            Entry,
            st.sampled_from(Kind),
            st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            st.sampled_from([512, 4096, 65536]),
            st.binary(max_size=100),
            st.integers(0, 2**64 - 1),
        ),
        min_size=1,
    )
)
def test_any_entries_can_be_read_back(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("any")

    assert read(written(folder, HEADER.encode() + encode(7, entries))) == entries
