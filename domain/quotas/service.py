"""How much of their credits users have left (api.md 3.9)."""

from domain.auth.policy import Action, Policy
from domain.quotas.buckets import Holder
from domain.quotas.models import QuotaRules
from domain.quotas.ports import QuotaTx
from domain.quotas.warnings import QuotaStatus, levels_of
from domain.scope import scope_for
from domain.subject import Subject
from domain.unit_of_work import Access, UnitOfWork


class QuotaService:
    def __init__(self, begin: UnitOfWork[QuotaTx], policy: Policy, rules: QuotaRules) -> None:
        self._begin = begin
        self._policy = policy
        self._rules = rules

    async def status(self, who: Subject) -> QuotaStatus:
        """Of the present day and month, with what running turns hold."""
        self._policy.require(who, Action.READ_QUOTA)
        async with self._begin(scope_for(who), Access.READ) as tx:
            standing = await tx.quotas.standing()
        levels = levels_of(Holder.USER, standing, self._rules)
        return QuotaStatus(levels=levels, warning_threshold_pct=self._rules.warning_threshold_pct)
