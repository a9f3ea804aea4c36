"""A match that is nothing but its moves, and these are in the address of its page."""

from pathlib import Path

from litestar import Litestar, get
from litestar.params import FromQuery
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig
from rules import Game, IllegalMove, decide, evolve

from runtime import Runtime
from runtime.litestar import DurableObjectsPlugin

HERE = Path(__file__).parent


def state(game: Game) -> str:
    if game.winner:
        return f"{game.winner} has won"
    return "a draw" if game.is_over else f"{game.to_move} to move"


@get("/")
async def look(moves: FromQuery[str] = "") -> Template:
    game, played, refusal = Game(), "", ""
    try:
        for move in moves:
            game = evolve(game, decide(game, game.to_move, "123456789".find(move)))
            played += move
    except IllegalMove as why:
        refusal = str(why)
    context = {"game": game, "state": state(game), "played": played, "refusal": refusal}
    return Template("page.html", context=context)


def create_app() -> Litestar:
    runtime = Runtime(bindings={})  # no objects yet
    return Litestar(
        [look],
        plugins=[DurableObjectsPlugin(runtime)],
        template_config=TemplateConfig(directory=HERE, engine=JinjaTemplateEngine),
        logging_config=None,
    )
