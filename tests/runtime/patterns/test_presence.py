"""Presence: people, not windows; nobody missing, and no ghosts."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectState,
    Request,
    Response,
    WebSocket,
)
from runtime.patterns.presence import Presence
from runtime.testing import ClientSocket, TestRuntime
from tests.conftest import StartRuntime

GRACE = 5.0  # seconds


class Hall(DurableObject[Any]):
    """Tells everybody who is here, whenever that has changed."""

    def __init__(self, ctx: DurableObjectState, env: Any) -> None:
        super().__init__(ctx, env)
        self.presence = Presence(ctx, grace_seconds=GRACE)

    async def people(self) -> set[str]:
        return set(self.sentence().split())

    async def keys(self) -> list[str]:
        return [key for key, _ in self.ctx.storage.kv.list()]

    async def alarms(self) -> dict[str | None, float]:
        return await self.ctx.storage.list_alarms()

    async def set_another_alarm(self, when: float) -> None:
        await self.ctx.storage.set_alarm(when, name="another")

    def sentence(self) -> str:
        return " ".join(
            sorted(
                f"{each.about}{' (away)'[: 7 * each.is_away]}".replace(" ", "")
                for each in self.presence.people()
            )
        )

    def show(self, has_changed: bool) -> None:
        if has_changed:
            self.ctx.broadcast(self.sentence())

    async def fetch(self, request: Request) -> Response:
        ws = request.web_socket
        assert ws is not None
        query = request.query
        self.ctx.accept_web_socket(ws, tags=[query["id"], "all"])
        ws.serialize_attachment({"of the hall": query["id"]})
        self.show(self.presence.join(ws, query["id"], query["name"], is_away="away" in query))
        return Response.switching_protocols()

    async def web_socket_message(self, ws: WebSocket, message: str | bytes) -> None:
        self.show(self.presence.set_away(ws, message == "away"))

    async def web_socket_close(
        self, ws: WebSocket, code: int, reason: str, was_clean: bool
    ) -> None:
        assert ws.deserialize_attachment()["of the hall"] in self.ctx.get_tags(ws)
        self.show(await self.presence.leave(ws))
        self.show(await self.presence.leave(ws))

    async def alarm(self, invocation: AlarmInvocation) -> None:
        self.show(await self.presence.alarm(invocation))


@pytest.fixture
async def runtime(start_runtime: StartRuntime) -> TestRuntime[Any]:
    """A runtime with halls."""
    started: TestRuntime[Any] = await start_runtime(halls=Hall)
    return started


@pytest.fixture
def hall(runtime: TestRuntime[Any]) -> Hall:
    """One of them."""
    hall: Hall = runtime.env.halls.get_by_name("main")
    return hall


async def enter(
    runtime: TestRuntime[Any], hall: Hall, name: str, *, id: str = "", query: str = ""
) -> ClientSocket:
    """Open a window of somebody."""
    return await runtime.connect(hall, f"/?id={id or name.lower()}&name={name}{query}")


def told(ws: ClientSocket) -> list[str]:
    """Return, and take, what a window was told."""
    sentences = [str(sentence) for sentence in ws.received]
    ws.received.clear()
    return sentences


async def test_somebody_with_several_windows_is_there_once(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada = await enter(runtime, hall, "Ada")
    first, second = [await enter(runtime, hall, "Bob") for _ in range(2)]
    together = told(ada)

    await first.leave()
    await runtime.clock.advance(2 * GRACE)
    with_one_window = await hall.people()
    await second.leave()
    await runtime.clock.advance(2 * GRACE)

    assert together == ["Ada", "Ada Bob"]
    assert with_one_window == {"Ada", "Bob"}
    assert told(ada) == ["Ada"]


@pytest.mark.parametrize("how", ["closed", "cut off"])
async def test_whoever_is_back_within_the_grace_was_never_gone(
    runtime: TestRuntime[Any], hall: Hall, how: str
) -> None:
    ada, bob = await enter(runtime, hall, "Ada"), await enter(runtime, hall, "Bob")
    told(ada)

    await (bob.leave() if how == "closed" else bob.vanish())
    meanwhile = await hall.people()
    await runtime.clock.advance(GRACE - 0.1)
    await enter(runtime, hall, "Bob")
    await runtime.clock.advance(10 * GRACE)

    assert meanwhile == await hall.people() == {"Ada", "Bob"}
    assert told(ada) == []


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1008])
async def test_whoever_stays_away_longer_than_the_grace_is_seen_to_be_gone_once(
    runtime: TestRuntime[Any], hall: Hall, code: int
) -> None:
    ada, bob = await enter(runtime, hall, "Ada"), await enter(runtime, hall, "Bob")
    told(ada)

    await (bob.vanish() if code == 1006 else bob.leave(code))
    await runtime.clock.advance(GRACE - 0.1)
    before = told(ada)
    await runtime.clock.advance(0.2)

    assert before == []
    assert told(ada) == ["Ada"]
    assert await hall.people() == {"Ada"}


async def test_every_grace_is_as_long_as_the_last_one_though_they_overlap(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada, bob = await enter(runtime, hall, "Ada"), await enter(runtime, hall, "Bob")
    told(ada)

    for _ in range(4):
        await bob.vanish()
        await runtime.clock.advance(GRACE - 0.1)
        bob = await enter(runtime, hall, "Bob")
    await bob.vanish()
    await runtime.clock.advance(GRACE - 0.1)
    until_then = told(ada)
    await runtime.clock.advance(0.2)

    assert (until_then, told(ada)) == ([], ["Ada"])


async def test_people_who_leave_one_after_another_go_one_after_another(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada = await enter(runtime, hall, "Ada")
    others = [await enter(runtime, hall, name) for name in ("Bob", "Cleo", "Dora")]
    told(ada)

    for other in others:
        await other.vanish()
        await runtime.clock.advance(1)
    await runtime.clock.advance(2 * GRACE)

    assert told(ada) == ["Ada Cleo Dora", "Ada Dora", "Ada"]


async def test_somebody_is_away_when_all_of_their_windows_are(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada = await enter(runtime, hall, "Ada")
    first, second = [await enter(runtime, hall, "Bob") for _ in range(2)]
    told(ada)

    await first.send("away")
    one = told(ada)
    await second.send("away")
    await second.send("away")
    both = told(ada)
    await first.send("here")

    assert (one, both, told(ada)) == ([], ["Ada Bob(away)"], ["Ada Bob"])


async def test_a_window_that_opens_unseen_is_away_from_the_start(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada = await enter(runtime, hall, "Ada")

    await enter(runtime, hall, "Bob", query="&away")

    assert told(ada) == ["Ada", "Ada Bob(away)"]


async def test_whoever_is_away_stays_so_while_their_connection_is_renewed(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada, bob = await enter(runtime, hall, "Ada"), await enter(runtime, hall, "Bob")
    await bob.send("away")
    told(ada)

    await bob.vanish()
    await runtime.clock.advance(1)
    await enter(runtime, hall, "Bob", query="&away")
    await runtime.clock.advance(2 * GRACE)

    assert told(ada) == []
    assert await hall.people() == {"Ada", "Bob(away)"}


async def test_a_reload_of_the_only_window_that_is_looked_at_doesnt_make_somebody_away(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada = await enter(runtime, hall, "Ada")
    looked_at, other = [await enter(runtime, hall, "Bob") for _ in range(2)]
    await other.send("away")
    told(ada)

    await looked_at.leave(1001)
    await runtime.clock.advance(1)
    again = await enter(runtime, hall, "Bob")
    await runtime.clock.advance(2 * GRACE)
    during_the_reload = told(ada)
    await again.leave(1001)
    await runtime.clock.advance(2 * GRACE)

    assert during_the_reload == []
    assert told(ada) == ["Ada Bob(away)"]


async def test_a_new_name_replaces_the_old_one_everywhere(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada = await enter(runtime, hall, "Ada")
    await enter(runtime, hall, "Bob")
    renamed = await enter(runtime, hall, "Rob", id="bob")
    assert told(ada) == ["Ada", "Ada Bob", "Ada Rob"]

    await renamed.leave()
    await runtime.clock.advance(2 * GRACE)

    assert told(ada) == ["Ada Bob"]


async def test_what_the_object_keeps_in_an_attachment_stays(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    bob = await enter(runtime, hall, "Bob")
    await bob.send("away")

    def attachments(_: Hall, ctx: DurableObjectState) -> list[Any]:
        return [ws.deserialize_attachment()["of the hall"] for ws in ctx.get_web_sockets()]

    assert await runtime.run_in_durable_object(hall, attachments) == ["bob"]


async def test_a_socket_that_never_joined_belongs_to_nobody(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    await enter(runtime, hall, "Ada")

    async def visit_without_joining(instance: Hall, ctx: DurableObjectState) -> list[bool]:
        (ws,) = ctx.get_web_sockets()
        ws.serialize_attachment(None)
        return [instance.presence.set_away(ws, True), await instance.presence.leave(ws)]

    assert await runtime.run_in_durable_object(hall, visit_without_joining) == [False, False]
    assert await hall.people() == set()


async def test_whoever_joins_needs_their_tag(runtime: TestRuntime[Any], hall: Hall) -> None:
    await enter(runtime, hall, "Ada")

    def join_as_bob(instance: Hall, ctx: DurableObjectState) -> None:
        (ws,) = ctx.get_web_sockets()
        instance.presence.join(ws, "bob", "Bob")

    with pytest.raises(ValueError, match="'bob' must be accepted with that as a tag"):
        await runtime.run_in_durable_object(hall, join_as_bob)
    assert await hall.people() == {"Ada"}


async def test_an_id_that_is_another_tag_as_well_is_still_one_person(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada = await enter(runtime, hall, "Ada")

    everybody = await enter(runtime, hall, "Everybody", id="all")
    await everybody.send("away")

    assert told(ada) == ["Ada", "Ada Everybody", "Ada Everybody(away)"]


async def test_a_crash_leaves_nobody_but_those_in_grace_and_them_not_for_long(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    windows = [await enter(runtime, hall, name) for name in ("Ada", "Bob", "Cleo")]
    await windows[0].vanish()
    await runtime.clock.advance(3)
    await windows[1].vanish()

    await runtime.crash()
    after_the_crash = await hall.people()
    await runtime.clock.advance(3)
    later = await hall.people()
    await runtime.clock.advance(3)

    assert after_the_crash == {"Ada", "Bob"}
    assert later == {"Bob"}
    assert await hall.people() == set()


async def test_nobody_is_a_ghost_though_the_alarm_be_late(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    bob = await enter(runtime, hall, "Bob")
    await bob.vanish()

    def look_after(instance: Hall, ctx: DurableObjectState) -> tuple[str, list[str]]:
        key, (gone, _) = next(iter(ctx.storage.kv.list()))
        ctx.storage.kv.put(key, (gone, runtime.clock.time() - 1))
        return instance.sentence(), [key]

    assert await runtime.run_in_durable_object(hall, look_after) == ("", ["presence:bob"])
    ada = await enter(runtime, hall, "Ada")
    await enter(runtime, hall, "Bob")
    assert told(ada) == ["Ada", "Ada Bob"]


async def test_when_the_alarm_rings_the_time_is_over_whatever_the_clock_says(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    ada, bob = await enter(runtime, hall, "Ada"), await enter(runtime, hall, "Bob")
    await bob.vanish()
    told(ada)

    assert await runtime.run_durable_object_alarm(hall, name="presence")

    assert told(ada) == ["Ada"]


async def test_nothing_is_left_on_disk_when_all_is_over(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    bob = await enter(runtime, hall, "Bob")
    while_here = await hall.keys(), await hall.alarms()
    await bob.vanish()
    in_grace = await hall.keys(), list(await hall.alarms())
    await runtime.clock.advance(2 * GRACE)

    assert while_here == ([], {})
    assert in_grace == (["presence:bob"], ["presence"])
    assert (await hall.keys(), await hall.alarms()) == ([], {})


async def test_another_alarm_of_the_object_is_none_of_its_business(
    runtime: TestRuntime[Any], hall: Hall
) -> None:
    bob = await enter(runtime, hall, "Bob")
    await hall.set_another_alarm(runtime.clock.time() + 1000)
    await bob.vanish()

    assert await runtime.run_durable_object_alarm(hall, name="another")

    assert await hall.people() == {"Bob"}
    assert list(await hall.alarms()) == ["presence"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "close", "away", "here", "wait", "evict", "crash"]),
        st.integers(0, 3),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
async def test_whatever_happens_an_onlooker_sees_who_has_a_window_or_has_had_one_just_now(
    steps: list[tuple[str, int]],
) -> None:
    async with TestRuntime(bindings={"halls": Hall}) as runtime:
        hall: Hall = runtime.env.halls.get_by_name("main")
        onlooker = await enter(runtime, hall, "Ada")
        windows: list[tuple[str, ClientSocket, bool]] = []
        left: dict[str, float] = {}
        for step, argument in steps:
            match step:
                case "open":
                    name = ("Bob", "Cleo")[argument % 2]
                    windows.append((name, await enter(runtime, hall, name), False))
                case "close" if windows:
                    name, window, _ = windows.pop(argument % len(windows))
                    await window.vanish()
                    left[name] = runtime.clock.time()
                case "away" | "here" if windows:
                    name, window, _ = windows.pop(argument % len(windows))
                    await window.send(step)
                    windows.append((name, window, step == "away"))
                case "wait":
                    await runtime.clock.advance(argument + 0.47)  # never to the very deadline
                case "evict":
                    await hall.keys()
                    await runtime.evict_durable_object(hall)
                case "crash":
                    await runtime.crash()
                    windows.clear()
                    onlooker = await enter(runtime, hall, "Ada")

            seen = (await hall.people()) - {"Ada"}
            open_now = {name for name, _, _ in windows}
            looking = {name for name, _, is_away in windows if not is_away}
            now = runtime.clock.time()
            just_now = {name for name, when in left.items() if now - when < GRACE - 0.01}
            names = {each.removesuffix("(away)") for each in seen}
            assert open_now <= names <= open_now | just_now
            assert {f"{name}(away)" for name in looking}.isdisjoint(seen)
            told_last = str(onlooker.received[-1]) if onlooker.received else None
            assert told_last is None or set(told_last.split()) - {"Ada"} == seen

        await runtime.clock.advance(2 * GRACE)
        final = (
            set(str(onlooker.received[-1]).split()) if onlooker.received else await hall.people()
        )
        assert final == await hall.people()
        assert {each.removesuffix("(away)") for each in final} == {"Ada"} | {
            n for n, _, _ in windows
        }
        assert await hall.keys() == []
