from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from uuid import uuid4

import pytest

from domain.audit.ports import EventTx
from domain.clock import SystemClock
from domain.errors import QuotaExceeded, ServiceUnavailable
from domain.ids import RequestId, TenantId, UserId
from domain.quotas.rejections import QuotaRejections
from domain.scope import AccessScope
from domain.unit_of_work import Access


async def test_a_store_that_is_away_keeps_nobody_from_learning_of_a_refusal(caplog: pytest.LogCaptureFixture) -> None:
    def away(scope: AccessScope, access: Access = Access.WRITE) -> AbstractAsyncContextManager[EventTx]:
        raise ServiceUnavailable

    rejections = QuotaRejections(away, SystemClock())
    scope = AccessScope(tenant_id=TenantId(uuid4()), user_id=UserId(uuid4()))
    await rejections.tell(scope, QuotaExceeded("total:daily", timedelta(hours=1)), None, RequestId(uuid4()))
    assert [record.message for record in caplog.records] == ["quota_rejected_untold"]
