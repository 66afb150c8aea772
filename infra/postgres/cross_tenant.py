"""The statements that span tenants: the lease beat, the look for cancellations and the search for expired turns.

They run as `mini_chat_ops`, which the runtime role may become but does not inherit: that role sees ids, owners,
leases and flags of running turns, saves text it cannot read, and nothing else. They return ids and flags.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Final

from sqlalchemy import ARRAY, BigInteger, Integer, Interval, Text, Uuid, bindparam, text

from domain.ids import ChatId, OwnerId, TenantId, TurnId, UserId
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.turns.models import LeasedTurn, SavedPart
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.plain_transactions import OPS, PlainTransactions
from infra.postgres.repositories.cancellations import reason_of
from infra.postgres.transaction import TransactionLimits

# A turn that is just being finalised is locked: it is passed over, so that it never delays the others.
_RENEW: Final = text("""
    WITH mine AS (
        SELECT turn.tenant_id, turn.id
        FROM mini_chat.chat_turns AS turn
        JOIN unnest(:tenants, :turns, :epochs) AS owned (tenant_id, id, epoch)
          ON turn.tenant_id = owned.tenant_id AND turn.id = owned.id AND turn.owner_epoch = owned.epoch
        WHERE turn.state = 'running'
        FOR NO KEY UPDATE OF turn SKIP LOCKED
    )
    UPDATE mini_chat.chat_turns AS turn
    SET lease_until = now() + :lease
    FROM mine
    WHERE turn.tenant_id = mine.tenant_id AND turn.id = mine.id
    RETURNING turn.id, turn.cancel_requested_at IS NOT NULL AS cancelled, turn.cancel_reason
""").bindparams(
    bindparam("tenants", type_=ARRAY(Uuid())),
    bindparam("turns", type_=ARRAY(Uuid())),
    bindparam("epochs", type_=ARRAY(BigInteger())),
    bindparam("lease", type_=Interval()),
)

_CANCELLED: Final = text("""
    SELECT turn.id, turn.cancel_reason
    FROM mini_chat.chat_turns AS turn
    JOIN unnest(:tenants, :turns, :epochs) AS owned (tenant_id, id, epoch)
      ON turn.tenant_id = owned.tenant_id AND turn.id = owned.id AND turn.owner_epoch = owned.epoch
    WHERE turn.state = 'running' AND turn.cancel_requested_at IS NOT NULL
""").bindparams(
    bindparam("tenants", type_=ARRAY(Uuid())),
    bindparam("turns", type_=ARRAY(Uuid())),
    bindparam("epochs", type_=ARRAY(BigInteger())),
)

# Shared locks keep the turns running until the parts are committed, so that an ending finds all of them. A turn that
# is locked is just being ended: it is passed over and not returned.
_SAVE: Final = text("""
    WITH part AS (
        SELECT * FROM unnest(:tenants, :turns, :epochs, :numbers, :events, :bodies)
          AS part (tenant_id, turn_id, epoch, part_no, last_event, body)
    ), mine AS (
        SELECT turn.tenant_id, turn.id, turn.owner_epoch
        FROM part
        JOIN mini_chat.chat_turns AS turn
          ON turn.tenant_id = part.tenant_id AND turn.id = part.turn_id AND turn.owner_epoch = part.epoch
        WHERE turn.state = 'running'
        FOR SHARE OF turn SKIP LOCKED
    ), saved AS (
        INSERT INTO mini_chat.turn_parts (tenant_id, turn_id, owner_epoch, part_no, last_event, body)
        SELECT mine.tenant_id, mine.id, mine.owner_epoch, part.part_no, part.last_event, part.body
        FROM mine JOIN part ON part.tenant_id = mine.tenant_id AND part.turn_id = mine.id
        ON CONFLICT DO NOTHING
    )
    SELECT id FROM mine
""").bindparams(
    bindparam("tenants", type_=ARRAY(Uuid())),
    bindparam("turns", type_=ARRAY(Uuid())),
    bindparam("epochs", type_=ARRAY(BigInteger())),
    bindparam("numbers", type_=ARRAY(Integer())),
    bindparam("events", type_=ARRAY(Integer())),
    bindparam("bodies", type_=ARRAY(Text())),
)

# The lease is looked at again by the update itself: a renewal that came in between wins.
_CLAIM: Final = text("""
    WITH expired AS (
        SELECT tenant_id, id
        FROM mini_chat.chat_turns
        WHERE state = 'running' AND lease_until < now() AND next_reap_at <= now()
        ORDER BY lease_until
        LIMIT :at_most
        FOR NO KEY UPDATE SKIP LOCKED
    )
    UPDATE mini_chat.chat_turns AS turn
    SET owner_id = :owner,
        owner_epoch = turn.owner_epoch + 1,
        lease_until = now() + :lease,
        reap_attempts = turn.reap_attempts + 1,
        next_reap_at = now() + least(power(2, turn.reap_attempts + 1), 300) * interval '1 second'
    FROM expired
    WHERE turn.tenant_id = expired.tenant_id AND turn.id = expired.id
      AND turn.state = 'running' AND turn.lease_until < now()
    RETURNING turn.tenant_id, turn.id, turn.user_id, turn.chat_id, turn.owner_epoch,
              turn.cancel_requested_at IS NOT NULL AS cancelled
""").bindparams(
    bindparam("at_most", type_=Integer()),
    bindparam("owner", type_=Uuid()),
    bindparam("lease", type_=Interval()),
)


class PostgresLeases:
    """Fills the ports Leases and CancelFlags, on the reserved pool."""

    def __init__(self, pool: ConnectionPool, limits: TransactionLimits) -> None:
        self._begun = PlainTransactions(pool, limits, role=OPS)

    async def renew(self, owned: Sequence[TurnBrief], lease: timedelta) -> Mapping[TurnId, StopReason | None]:
        async with self._begun() as connection:
            rows = await connection.execute(_RENEW, {**_fences(owned), "lease": lease})
            return {TurnId(row.id): reason_of(row.cancel_reason) if row.cancelled else None for row in rows}

    async def raised(self, owned: Sequence[TurnBrief]) -> Mapping[TurnId, StopReason]:
        async with self._begun() as connection:
            rows = await connection.execute(_CANCELLED, _fences(owned))
            return {TurnId(row.id): reason_of(row.cancel_reason) for row in rows}

    async def save(self, parts: Sequence[SavedPart]) -> Collection[TurnId]:
        async with self._begun() as connection:
            rows = await connection.execute(_SAVE, _parts(parts))
            return {TurnId(row.id) for row in rows}

    async def claim_expired(self, owner: OwnerId, lease: timedelta, at_most: int) -> Sequence[LeasedTurn]:
        async with self._begun() as connection:
            rows = await connection.execute(_CLAIM, {"owner": owner, "lease": lease, "at_most": at_most})
            return [
                LeasedTurn(
                    turn_id=TurnId(row.id),
                    chat_id=ChatId(row.chat_id),
                    scope=AccessScope(tenant_id=TenantId(row.tenant_id), user_id=UserId(row.user_id)),
                    owner_epoch=row.owner_epoch,
                    cancel_requested=row.cancelled,
                )
                for row in rows
            ]


def _fences(owned: Sequence[TurnBrief]) -> dict[str, object]:
    return {
        "tenants": [brief.scope.tenant_id for brief in owned],
        "turns": [brief.turn_id for brief in owned],
        "epochs": [brief.epoch for brief in owned],
    }


def _parts(grown: Sequence[SavedPart]) -> dict[str, object]:
    return {
        **_fences([part.brief for part in grown]),
        "numbers": [part.part_no for part in grown],
        "events": [part.last_event for part in grown],
        "bodies": [part.body for part in grown],
    }
