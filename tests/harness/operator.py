"""An administrator of a running server."""

from typing import Any

import msgspec

from tests.harness.bridge import Answer
from tests.harness.client import Client

SWITCHES = "admin/kill-switches"


class Operator(msgspec.Struct, frozen=True):
    """`client` has a credential with the role admin."""

    client: Client

    async def switch(self, scope: str, target: str | None = None, mode: str = "admission", **members: Any) -> Any:
        """Sets a switch, which must be accepted; what is answered."""
        named = {"scope": scope} if target is None else {"scope": scope, "target": target}
        return accepted(await self.client.ask("PUT", SWITCHES, named | {"mode": mode, "reason": "a test"} | members))

    async def clear(self, effect: Any) -> Any:
        """Clears the switch that `switch` has set."""
        return accepted(await self.client.ask("DELETE", f"{SWITCHES}/{effect['switch']['id']}"))


def accepted(answer: Answer) -> Any:
    assert answer.status == 200, answer
    return answer.json()
