"""A match between two, and whoever watches."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import litestar
from litestar import Litestar, get, post, websocket
from litestar.di import NamedDependency
from litestar.exceptions import ClientException
from litestar.params import FromPath, QueryParameter, URLEncodedBody
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect, Template
from litestar.static_files import create_static_files_router
from litestar.template import TemplateConfig
from rules import Event, Game, IllegalMove, Marked, TimedOut, decide, replay

from runtime import (
    AlarmInvocation,
    DurableObject,
    DurableObjectNamespace,
    Request,
    Response,
    Runtime,
    errors,
)
from runtime.litestar import DurableObjectsPlugin, forward

HERE = Path(__file__).parent
SECONDS = 5  # for each move, once the first was made
OUT_OF_TIME = -1  # instead of a cell
errors.register(IllegalMove)


class Match(DurableObject):
    migrations = (
        "CREATE TABLE events (n INTEGER PRIMARY KEY, cell INTEGER NOT NULL)",
        "ALTER TABLE events ADD COLUMN at REAL NOT NULL DEFAULT 0",
    )

    async def play(self, player: str, cell: int, turn: int) -> None:
        event = decide(self._game(), player, cell, turn=turn, is_late=self._is_late())
        await self._happen(event)

    async def alarm(self, invocation: AlarmInvocation) -> None:
        if not self._game().is_over:  # it may ring twice
            await self._happen(TimedOut())

    async def game(self) -> Game:
        return self._game()

    async def fetch(self, request: Request) -> Response:
        if request.web_socket is None:
            return Response(426, text="this is for WebSockets")
        self.ctx.accept_web_socket(request.web_socket)
        request.web_socket.send(push(self._game()))
        return Response.switching_protocols()

    async def game_at(self, turn: int) -> Game:
        return self._game(turn)

    def _game(self, most: int = -1) -> Game:
        rows = self.ctx.storage.sql.exec("SELECT cell FROM events ORDER BY n LIMIT ?", most)
        cells = [row["cell"] for row in rows]
        return replay(TimedOut() if cell == OUT_OF_TIME else Marked(cell) for cell in cells)

    async def _happen(self, event: Event) -> None:
        self._append(event)
        if self._game().is_over:
            await self.ctx.storage.delete_alarm()
        else:
            await self.ctx.storage.set_alarm(timedelta(seconds=SECONDS))
        self.ctx.broadcast(push(self._game()))

    def _append(self, event: Event) -> None:
        cell = event.cell if isinstance(event, Marked) else OUT_OF_TIME
        insert = "INSERT INTO events (cell, at) VALUES (?, unixepoch('subsec'))"
        self.ctx.storage.sql.exec(insert, cell)

    def _is_late(self) -> bool:
        since = "SELECT unixepoch('subsec') - max(at) AS seconds FROM events"
        seconds = self.ctx.storage.sql.exec(since).one()["seconds"]
        return seconds is not None and seconds > SECONDS


def show(game: Game) -> str:
    """Return a match as HTML: an empty cell is a button, with its number on it."""
    cells = [
        f'<button name="cell" value="{n}">{n + 1}</button>' if mark == " " else f"<b>{mark}</b>"
        for n, mark in enumerate(game.board)
    ]
    rows = "<br>".join(" ".join(cells[n : n + 3]) for n in (0, 3, 6))
    turn = f'<input type="hidden" name="turn" value="{game.turn}">'
    return f'<p role="status">{state(game)}</p><p>{rows}</p>{turn}'


def state(game: Game) -> str:
    if game.winner:
        return f"{game.winner} has won"
    return "a draw" if game.is_over else f"{game.to_move} to move"


def push(game: Game) -> str:
    return f'<hx-partial hx-target="#match" hx-swap="innerHTML">{show(game)}</hx-partial>'


Matches = NamedDependency[DurableObjectNamespace[Match]]
Player = Annotated[str, QueryParameter(name="as")]


@get("/{name:str}")
async def look(name: FromPath[str], matches: Matches, player: Player = "") -> Template:
    match = show(await matches.get_by_name(name).game())
    return Template("page.html", context={"name": name, "player": player, "match": match})


@post("/{name:str}", status_code=303)
async def play(
    name: FromPath[str],
    data: URLEncodedBody[dict[str, str]],
    matches: Matches,
    player: Player = "",
) -> Redirect:
    try:
        await matches.get_by_name(name).play(player, int(data["cell"]), int(data["turn"]))
    except IllegalMove as refusal:
        raise ClientException(str(refusal), status_code=409) from refusal
    return Redirect(f"/{name}?as={player}", status_code=303)


@websocket("/{name:str}/live")
async def watch(socket: litestar.WebSocket, name: FromPath[str], matches: Matches) -> None:
    await forward(socket, to=matches.get_by_name(name))


def create_app() -> Litestar:
    runtime = Runtime(bindings={"matches": Match})
    return Litestar(
        [look, play, watch, create_static_files_router("/static", ["static"])],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
