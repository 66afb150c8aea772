"""Kill switches: rows of no tenant, only ever added."""

from typing import Any, Final

from sqlalchemy import Row, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from domain.ids import UserId
from domain.pagination import Page, PageQuery
from domain.switches.listing import SWITCH_LIST
from domain.switches.models import Switch, SwitchId, SwitchMode, SwitchName, SwitchScope
from domain.switches.ports import SwitchOrder
from infra.postgres.list_columns import ListColumns
from infra.postgres.orm.policy import EVERYTHING, KillSwitchRow
from infra.postgres.policy_lock import ONE_AT_A_TIME
from infra.postgres.sql_list import SqlList

SWITCH_COLUMNS: Final = (
    KillSwitchRow.id,
    KillSwitchRow.scope,
    KillSwitchRow.target,
    KillSwitchRow.version,
    KillSwitchRow.mode,
    KillSwitchRow.reason,
    KillSwitchRow.created_by,
    KillSwitchRow.created_at,
    KillSwitchRow.expires_at,
    KillSwitchRow.cleared_at,
)
_newer = aliased(KillSwitchRow)
NEWEST: Final = ~(
    select(_newer.revision)
    .where(
        _newer.scope == KillSwitchRow.scope,
        _newer.target == KillSwitchRow.target,
        _newer.version > KillSwitchRow.version,
    )
    .exists()
)


class PostgresSwitches:
    """Fills the port Switches."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def await_turn(self) -> None:
        await self._connection.execute(ONE_AT_A_TIME)

    async def newest(self, name: SwitchName) -> Switch | None:
        statement = (
            select(*SWITCH_COLUMNS)
            .where(KillSwitchRow.scope == name.scope.value, KillSwitchRow.target == _target(name))
            .order_by(KillSwitchRow.version.desc())
            .limit(1)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else switch_of(row)

    async def find(self, switch_id: SwitchId) -> Switch | None:
        statement = (
            select(*SWITCH_COLUMNS).where(KillSwitchRow.id == switch_id).order_by(KillSwitchRow.version.desc()).limit(1)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else switch_of(row)

    async def set(self, order: SwitchOrder, present: Switch | None, by: UserId, new_id: SwitchId) -> Switch:
        return await self._added(
            id=new_id if present is None else present.id,
            scope=order.name.scope.value,
            target=_target(order.name),
            version=1 if present is None else present.version + 1,
            mode=order.mode.value,
            reason=order.reason,
            created_by=by,
            expires_at=order.expires_at,
        )

    async def clear(self, present: Switch, by: UserId) -> Switch:
        return await self._added(
            id=present.id,
            scope=present.name.scope.value,
            target=_target(present.name),
            version=present.version + 1,
            mode=present.mode.value,
            reason=present.reason,
            created_by=present.created_by,
            created_at=present.created_at,
            expires_at=present.expires_at,
            cleared_by=by,
            cleared_at=func.now(),
        )

    async def page(self, query: PageQuery, *, cleared: bool) -> Page[Switch]:
        among = NEWEST if cleared else NEWEST & KillSwitchRow.cleared_at.is_(None)
        return await _LIST.page(self._connection, among, query)

    async def _added(self, **columns: Any) -> Switch:
        result = await self._connection.execute(insert(KillSwitchRow).values(**columns).returning(*SWITCH_COLUMNS))
        return switch_of(result.one())


def _target(name: SwitchName) -> str:
    return EVERYTHING if name.target is None else name.target


def switch_of(row: Row[*tuple[Any, ...]]) -> Switch:
    scope = SwitchScope(row.scope)
    return Switch(
        id=SwitchId(row.id),
        name=SwitchName(scope, None if scope is SwitchScope.GLOBAL else row.target),
        mode=SwitchMode(row.mode),
        reason=row.reason,
        version=row.version,
        created_by=UserId(row.created_by),
        created_at=row.created_at,
        expires_at=row.expires_at,
        cleared_at=row.cleared_at,
    )


_LIST: Final = SqlList[Switch](
    columns=ListColumns(
        SWITCH_LIST,
        {
            "id": KillSwitchRow.id,
            "scope": KillSwitchRow.scope,
            "target": func.nullif(KillSwitchRow.target, EVERYTHING),
            "mode": KillSwitchRow.mode,
            "created_at": KillSwitchRow.created_at,
            "expires_at": KillSwitchRow.expires_at,
        },
    ),
    members=SWITCH_COLUMNS,
    item_of=switch_of,
)
