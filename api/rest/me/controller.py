"""GET /v1/me (api.md 3.9)."""

from litestar import Controller, get
from litestar.di import NamedDependency

from api.rest.endpoint import endpoint
from api.rest.me.schemas import MeOut
from domain.auth.policy import Action
from domain.subject import Subject


class MeController(Controller):
    path = "/me"
    tags = ("Me",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.get_me",
        summary="Read who you are to the server",
        opt=endpoint(Action.READ_SELF),
    )
    async def get_me(self, subject: NamedDependency[Subject]) -> MeOut:
        return MeOut.of(subject)
