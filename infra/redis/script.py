"""A Lua script by its digest: its text goes to a server that does not know it yet, and to no other."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import NoScriptError


class Script:
    def __init__(self, text: str) -> None:
        self._text = text
        self._digest = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, redis: Redis, keys: Sequence[str], arguments: Sequence[int]) -> Any:
        """What the script returns. Raises the client's errors."""
        with suppress(NoScriptError):
            return await redis.evalsha(self._digest, len(keys), *keys, *arguments)
        return await redis.eval(self._text, len(keys), *keys, *arguments)
