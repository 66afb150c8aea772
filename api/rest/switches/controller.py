"""Kill switches over HTTP (api.md 3.11)."""

from typing import Any, Final
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.rest.cursor import Cursors
from api.rest.endpoint import endpoint
from api.rest.list_options import flag_of
from api.rest.list_spec import ListSpec, OwnOption, OwnOptions
from api.rest.listing import Listing
from api.rest.query_options import DRY_RUN, EXPECTED_VERSION, dry_run_of, expected_version_of
from api.rest.switches.schemas import EffectOut, SwitchIn, SwitchOut, SwitchPageOut
from api.rest.wire_types import given
from domain.auth.policy import Action
from domain.errors import KillSwitchNotFound, VersionConflict
from domain.subject import Subject
from domain.switches.listing import SWITCH_LIST
from domain.switches.models import SwitchId
from domain.switches.service import SwitchService

_INCLUDE_CLEARED: Final = OwnOption(
    name="include_cleared",
    description="Also those that were cleared.",
    schema={"type": "boolean", "default": False},
    picks_rows=True,
)
SWITCHES: Final = ListSpec(
    resource="kill_switches",
    shape=SWITCH_LIST,
    item=SwitchOut,
    own=OwnOptions[bool](options=(_INCLUDE_CLEARED,), read=lambda sent: flag_of(sent, _INCLUDE_CLEARED.name)),
)


class SwitchController(Controller):
    path = "/admin/kill-switches"
    tags = ("Administration",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_kill_switches",
        summary="List the kill switches, newest first",
        opt=endpoint(Action.READ_SWITCHES, lists=SWITCHES),
    )
    async def list_kill_switches(
        self,
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        switches: NamedDependency[SwitchService],
        cursors: NamedDependency[Cursors],
    ) -> Response[SwitchPageOut]:
        listing = Listing(request, cursors, SWITCHES, subject)
        page = await switches.page(subject, listing.query, cleared=listing.own)
        return listing.answer(SwitchPageOut, page, SwitchOut.of)

    @put(
        "",
        status_code=200,
        operation_id="mini_chat.set_kill_switch",
        summary="Switch something off, or change how",
        opt=endpoint(Action.SET_SWITCH, VersionConflict, options=(DRY_RUN,)),
    )
    async def set_kill_switch(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[SwitchIn],
        subject: NamedDependency[Subject],
        switches: NamedDependency[SwitchService],
    ) -> EffectOut:
        effect = await switches.set(subject, data.order(), given(data.expected_version), dry_run=dry_run_of(request))
        return EffectOut.of(effect)

    @delete(
        "/{switch_id:str}",
        status_code=200,
        operation_id="mini_chat.clear_kill_switch",
        summary="Clear a kill switch",
        opt=endpoint(Action.SET_SWITCH, KillSwitchNotFound, VersionConflict, options=(DRY_RUN, EXPECTED_VERSION)),
    )
    async def clear_kill_switch(
        self,
        switch_id: FromPath[UUID],
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        switches: NamedDependency[SwitchService],
    ) -> EffectOut:
        effect = await switches.clear(
            subject, SwitchId(switch_id), expected_version_of(request), dry_run=dry_run_of(request)
        )
        return EffectOut.of(effect)
