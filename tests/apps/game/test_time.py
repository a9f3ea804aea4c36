"""Whatever happens to the server, a player pays for the time in which they could have moved."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from apps.game.app import APP
from apps.game.domain.clock import RETURN_SECONDS, Control
from apps.game.objects.pulse import FINE, LATE
from tests.apps.game.conftest import Table

INITIAL = 100.0
UNSEEN = 2 * LATE * FINE  # a pause that is shorter, within one process, isn't told from sleep


@pytest.mark.parametrize("seed", range(4))
async def test_time_is_charged_while_the_server_is_alive_and_only_then(
    start_awake_runtime: Any, seed: int
) -> None:
    random = Random(seed)
    runtime = await start_awake_runtime(**APP.bindings)
    table = Table(runtime)
    await table.open(control=Control(INITIAL))
    await table.play("1", "2")
    alive, pauses = [0.0, 0.0], [0, 0]
    for _ in range(14):
        view = await table.look()
        if view.phase == "finished":
            break
        (mover,) = view.to_move
        match random.choice(("wait", "wait", "restart", "crash", "move")):
            case "wait":
                seconds = random.uniform(0, 12)
                await runtime.clock.advance(seconds)
                alive[mover] += seconds
            case "restart":
                await runtime.restart(after=timedelta(seconds=random.uniform(UNSEEN, 3000)))
                pauses[mover] += 1
            case "crash":
                await runtime.crash()
            case "move":
                await table.play(random.choice("34567"))

        for seat, shown in enumerate((await table.look()).seats):
            charged = INITIAL - shown.left
            given = pauses[seat] * (RETURN_SECONDS + FINE)
            assert charged <= alive[seat] + 0.01
            assert charged >= min(alive[seat], INITIAL) - given - 0.01
