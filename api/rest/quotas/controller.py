"""What is left of the caller's credits, over HTTP (api.md 3.9)."""

from litestar import Controller, get
from litestar.di import NamedDependency

from api.rest.endpoint import endpoint
from api.rest.quotas.schemas import QuotaStatusOut
from domain.auth.policy import Action
from domain.quotas.service import QuotaService
from domain.subject import Subject


class QuotaController(Controller):
    path = "/quota"
    tags = ("Credits",)

    @get(
        "/status",
        status_code=200,
        operation_id="mini_chat.get_quota_status",
        summary="Read what is left of your credits",
        opt=endpoint(Action.READ_QUOTA),
    )
    async def get_quota_status(
        self, subject: NamedDependency[Subject], quotas: NamedDependency[QuotaService]
    ) -> QuotaStatusOut:
        return QuotaStatusOut.of(await quotas.status(subject))
