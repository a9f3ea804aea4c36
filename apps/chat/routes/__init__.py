"""The chat's handlers: parse, call the room once, render one template."""

from litestar import Router
from litestar.di import Provide

from apps.chat.domain import ChatRefusal
from apps.chat.routes import api, commands, edge, pages, people_api, sockets, strip

router = Router(
    "/",
    route_handlers=[
        pages.home,
        pages.enter,
        pages.open_private,
        pages.show_room,
        pages.show_about,
        pages.export,
        commands.say,
        commands.edit,
        commands.delete,
        commands.react,
        commands.pin,
        commands.mute,
        commands.kick,
        commands.ban,
        commands.slow_down,
        commands.talk_directly,
        strip.show_strip,
        strip.play_prank,
        sockets.room_socket,
        sockets.inbox_socket,
        api.list_rooms,
        api.open_private_room,
        api.list_unread,
        api.read_room,
        api.read_messages,
        api.export_room,
        api.post_message,
        api.list_messages,
        api.search_messages,
        api.edit_message,
        api.delete_message,
        api.add_reaction,
        api.remove_reaction,
        api.pin_message,
        api.unpin_message,
        people_api.list_people,
        people_api.open_direct_room,
        people_api.mute_person,
        people_api.kick_person,
        people_api.ban_person,
        people_api.unban_person,
        people_api.set_slow_mode,
        people_api.read_audit,
    ],
    dependencies={
        "visit": Provide(edge.provide_visit),
        "asker": Provide(edge.provide_asker),
    },
    exception_handlers={ChatRefusal: edge.answer_refusal},
)
