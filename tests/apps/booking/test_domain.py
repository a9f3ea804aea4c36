"""The rules of booking."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.booking.domain import admission, calendar, refunds, saga, seating, waiting
from apps.booking.domain.hold import Hold, Reference, check_limits, extended
from apps.booking.domain.house import (
    House,
    Person,
    Tier,
    check_slug,
    check_tiers,
    row_name,
    row_number,
)
from apps.booking.domain.payment import sold_by
from apps.booking.domain.refusals import Conflict, Gone, NotFound, NotYours, Unfit
from apps.booking.domain.saga import AWAITS_PAYMENT, COURSE, KEEPS_SEATS, State, Step
from tests.apps.booking.conftest import ADA, BOB, DAY, house

WIDTH = 8
free_rows = st.lists(st.integers(0, 2**WIDTH - 1), min_size=1, max_size=6)


def seats_of(rows: list[int]) -> set[int]:
    """Return the free seats by their numbers."""
    places = product(range(len(rows)), range(WIDTH))
    return {row * WIDTH + place for row, place in places if rows[row] >> place & 1}


def together(rows: list[int], count: int) -> list[tuple[int, ...]]:
    """Return all ways to sit together."""
    free = seats_of(rows)
    starts = (row * WIDTH + n for row, n in product(range(len(rows)), range(WIDTH - count + 1)))
    blocks = (tuple(range(start, start + count)) for start in starts)
    return [block for block in blocks if set(block) <= free]


@settings(suppress_health_check=[HealthCheck.too_slow])  # many processes may share the machine
@given(free_rows, st.integers(1, WIDTH))
def test_the_best_seats_are_free_and_together_if_there_are_any(rows: list[int], count: int) -> None:
    found = seating.best(rows, WIDTH, count)

    ways = together(rows, count)
    assert (found is None) == (not ways)
    assert found is None or found in ways


@given(free_rows, st.integers(1, 4), st.integers(0, 5), st.integers(0, WIDTH - 1))
def test_no_seats_together_are_nearer_than_those_offered(
    rows: list[int], count: int, row: int, place: int
) -> None:
    def distance(block: tuple[int, ...]) -> float:
        far, aside = divmod(block[0], WIDTH)
        return abs(far - row) * seating.ROW_WEIGHT + abs(aside - place)

    found = seating.nearest(rows, WIDTH, count, row, place)

    assert found is None or distance(found) == min(map(distance, together(rows, count)))


@given(free_rows, st.lists(st.integers(0, WIDTH - 1), min_size=1, max_size=5, unique=True))
def test_alternatives_are_as_many_as_there_are(rows: list[int], wanted: list[int]) -> None:
    found = seating.alternatives(rows, WIDTH, wanted, len(wanted))

    assert set(found) <= seats_of(rows)
    assert len(set(found)) == min(len(wanted), len(seats_of(rows)))


@given(st.integers(0, 701))
def test_rows_are_called_as_in_spreadsheets(row: int) -> None:
    assert row_number(row_name(row)) == row


@pytest.mark.parametrize(("row", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (199, "GR")])
def test_a_row_has_a_name(row: int, name: str) -> None:
    assert row_name(row) == name


@given(st.integers(0, 14))
def test_a_seats_name_leads_back_to_it(seat: int) -> None:
    assert house().seat_of(house().name_of(seat)) == seat


@pytest.mark.parametrize(
    "name", ["", "A", "A0", "A01", "A6", "D1", "a1", "A1 ", "1A", "A1\n", "\uff211"]
)
def test_there_are_no_other_seats(name: str) -> None:
    with pytest.raises(Unfit, match="there is no seat"):
        house().seat_of(name)


@pytest.mark.parametrize(
    "slug", ["", "A", "a b", "-a", "a-", "a--b", "ä", "x" * 41, "proof", "a\n"]
)
def test_an_address_is_simple(slug: str) -> None:
    with pytest.raises(Unfit):
        check_slug(slug)


def test_of_two_prices_for_a_row_the_later_one_counts() -> None:
    tiers = (Tier("All", 0, 2, 500), Tier("Front", 0, 0, 900))

    changed = House("gala", "Gala", 3, 5, ADA, 0.0, tiers=check_tiers(tiers, 3))

    assert [changed.cents_of(seat) for seat in (0, 4, 5, 14)] == [900, 900, 500, 500]


@pytest.mark.parametrize(
    "tiers", [(), ((0, 1),), ((1, 2),), ((0, 3),), ((2, 1), (0, 2)), ((-1, 2),)]
)
def test_each_row_has_a_price_and_no_other_has(tiers: tuple[tuple[int, int], ...]) -> None:
    with pytest.raises(Unfit):
        check_tiers(tuple(Tier("x", first, last, 1) for first, last in tiers), 3)


def test_only_an_answer_leads_out_of_a_payment() -> None:
    for state in AWAITS_PAYMENT:
        assert set(COURSE[state]) == {Step.PAID, Step.DECLINED, Step.SILENT}
        assert all(following in KEEPS_SEATS for following in COURSE[state].values())


def test_what_has_let_go_of_its_seats_never_gets_them_back() -> None:
    for state in set(State) - KEEPS_SEATS:
        assert COURSE[state] == {}


@given(st.lists(st.sampled_from(Step)))
def test_no_course_leads_from_paid_to_anything_but_cancelled(steps: list[Step]) -> None:
    state, was_paid = State.HELD, False
    for each in steps:
        try:
            state = saga.step(state, each)
        except (Conflict, Gone):
            continue
        was_paid = was_paid or state is State.CONFIRMED
        assert not was_paid or state in (State.CONFIRMED, State.CANCELLED)


def hold(**facts: object) -> Hold:
    """Return a hold of two seats until 600."""
    return Hold(1, "0" * 12, ADA, (0, 1), (500, 700), 600.0, **facts)  # type: ignore[arg-type]


def test_a_hold_ends_by_the_clock_alone() -> None:
    assert hold().state_at(599.9) is State.HELD
    assert hold().state_at(600.0) is State.EXPIRED
    assert hold(state=State.UNKNOWN).state_at(9000.0) is State.UNKNOWN


def test_a_hold_is_extended_once_and_in_time() -> None:
    assert extended(hold(), 599.0) == 900.0
    with pytest.raises(Conflict):
        extended(hold(is_extended=True), 0.0)
    with pytest.raises(Gone):
        extended(hold(), 600.0)


@given(st.integers(0, 100))
def test_a_discount_never_makes_more_of_it(percent: int) -> None:
    assert 0 <= hold(discount=percent).total <= 1200
    assert hold(discount=percent).total == 1200 - 1200 * percent // 100


def test_a_hold_is_its_owners() -> None:
    with pytest.raises(NotYours):
        hold().must_be_of(BOB)


@pytest.mark.parametrize(
    "text", ["", "gala", "gala.1", "gala.1-", "gala.x-" + "0" * 12, "g.1-" + "0" * 13]
)
def test_a_reference_is_spelt_in_one_way(text: str) -> None:
    with pytest.raises(NotFound):
        Reference.read(text)


@pytest.mark.parametrize(
    "text", ["", "gala", "gala.1-000000000000", "gala.1-000000000000.x", "..1"]
)
def test_a_payment_is_spelt_in_one_way(text: str) -> None:
    with pytest.raises(NotFound):
        sold_by(text)


def test_references_lead_back() -> None:
    text = "gala-2.17-0123456789ab"

    assert str(Reference.read(text)) == text
    assert sold_by(f"{text}.3") == (Reference("gala-2", 17, "0123456789ab"), 3)


def test_there_are_limits_for_a_person() -> None:
    check_limits(4, 3, 3, per_person=10)
    with pytest.raises(Conflict, match="everybody may have 10 seats, and you have 7"):
        check_limits(4, 4, 3, per_person=10)
    with pytest.raises(Conflict, match="more than 100 seats"):
        check_limits(1, 100, 0, per_person=0)


@pytest.mark.parametrize(("days", "cents"), [(30, 1001), (7, 1001), (6.9, 500), (1, 500)])
def test_less_comes_back_the_later_one_cancels(days: float, cents: int) -> None:
    assert refunds.refund(1001, 100 * DAY, (100 - days) * DAY) == cents


def test_in_the_end_nothing_is_cancelled() -> None:
    with pytest.raises(Conflict, match="until a day before"):
        refunds.refund(1000, 100 * DAY, 99.1 * DAY)


def test_whoever_wants_more_than_there_is_lets_others_pass() -> None:
    people = [
        waiting.Waiting(n, Person(str(n), str(n)), count) for n, count in enumerate((3, 1, 1))
    ]

    found = list(waiting.offers([0b11, 0], WIDTH, people))

    assert [(offer.waiting.number, offer.seats) for offer in found] == [(1, (1,)), (2, (0,))]


@given(st.integers(1, 50), st.lists(st.floats(0, 3), max_size=40))
def test_no_more_are_let_in_than_so_many_a_second(per_second: int, gaps: list[float]) -> None:
    now = last = 1000.0
    entered = 0
    for gap in gaps:
        now += gap
        count = admission.may_enter(per_second, last, now)
        last = admission.last_after(per_second, last, now, count) if count else last
        entered += count
        assert entered <= (now - 1000.0) * per_second + 1
        assert count <= per_second


def test_a_calendars_lines_are_short_and_what_is_in_them_is_escaped() -> None:
    text = calendar.entry("gala.1-0", "Über; alles, " + "x" * 200, ("A1",), 1e9, 1e9)

    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert "SUMMARY:Über\\; alles\\, xxx" in text
    assert "DTSTART:20010909T014640Z" in text
