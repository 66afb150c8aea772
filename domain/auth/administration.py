"""The trace of what administrators do: one line for each action, whatever came of it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from domain.auth.policy import Action
from domain.errors import DomainError
from domain.subject import Subject

_log = logging.getLogger(__name__)


@contextmanager
def on_record(who: Subject, action: Action, target: str) -> Iterator[None]:
    """`target` names what is acted on, by words and ids. The outcome is `done` or the code of the refusal."""
    outcome = "internal_error"
    try:
        yield
        outcome = "done"
    except DomainError as refusal:
        outcome = refusal.code
        raise
    finally:
        _log.info(
            "admin_action",
            extra={
                "actor": str(who.user_id),
                "actor_tenant": str(who.tenant_id),
                "action": action.value,
                "target": target,
                "outcome": outcome,
            },
        )
