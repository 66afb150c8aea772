"""What every route under /v1 declares about itself; the gate enforces it and the OpenAPI document tells it."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.handlers import BaseRouteHandler

from api.rest.list_spec import ListSpec, OwnOption
from domain.auth.policy import Action
from domain.errors import DomainError

_KEY = "endpoint"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """`refusals` are those of this route alone; what every route may answer is added where it is told.

    `starts_work`: refused while the process drains. `streams`: the answer is an event stream.
    `resumes`: it begins after a position that the caller names, and may be that nothing follows.
    `turn_codes`: a turn's own codes are answers too, because the route waits for its end.
    `lists`: the answer is a page of this list. `options` are those in the query string of a route that is no list.
    """

    action: Action
    refusals: tuple[type[DomainError], ...] = ()
    starts_work: bool = False
    streams: bool = False
    resumes: bool = False
    turn_codes: bool = False
    lists: ListSpec[Any] | None = None
    options: tuple[OwnOption, ...] = ()


def endpoint(
    action: Action,
    *refusals: type[DomainError],
    starts_work: bool = False,
    streams: bool = False,
    resumes: bool = False,
    turn_codes: bool = False,
    lists: ListSpec[Any] | None = None,
    options: tuple[OwnOption, ...] = (),
) -> dict[str, Any]:
    """The `opt` of a route handler."""
    declared = Endpoint(
        action=action,
        refusals=refusals,
        starts_work=starts_work,
        streams=streams,
        resumes=resumes,
        turn_codes=turn_codes,
        lists=lists,
        options=options,
    )
    return {_KEY: declared}


def declared_by(handler: BaseRouteHandler) -> Endpoint | None:
    """None for routes outside /v1."""
    opt: Mapping[str, Any] = handler.opt
    declared = opt.get(_KEY)
    return declared if isinstance(declared, Endpoint) else None
