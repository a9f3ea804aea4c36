"""The chat's objects: rooms, and what stands beside them."""

from apps.chat.objects.directory import THE_ONE, RoomDirectory
from apps.chat.objects.inbox import UserInbox
from apps.chat.objects.limiter import RateLimiter
from apps.chat.objects.room import ChatRoom

__all__ = ["THE_ONE", "ChatRoom", "RateLimiter", "RoomDirectory", "UserInbox"]
