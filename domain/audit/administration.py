"""What administrators do, as an event of the whole platform: whose books it is in does not depend on who acted."""

from collections.abc import Mapping
from datetime import datetime

from domain.audit.events import Actor, EventType, NewEvent, audit_event
from domain.ids import NIL_TENANT
from domain.scope import AccessScope
from domain.subject import Subject


def platform_scope(who: Subject) -> AccessScope:
    """For transactions on what belongs to no tenant, and to the events of them."""
    return AccessScope(tenant_id=NIL_TENANT, user_id=who.user_id)


def admin_event(event_type: EventType, who: Subject, now: datetime, details: Mapping[str, object]) -> NewEvent:
    """To be added in the transaction that does it, which is under `platform_scope`."""
    members = {"actor_tenant_id": who.tenant_id, **details}
    return audit_event(event_type, platform_scope(who), Actor.of(who), now, details=members)
