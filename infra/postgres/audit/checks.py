"""All that an audit asks, by name. `ROW_CHECKS` are cheap enough for after every test."""

from typing import Final

from infra.postgres.audit.credit_checks import CREDIT_CHECKS
from infra.postgres.audit.job_checks import JOB_CHECKS
from infra.postgres.audit.system_call_checks import SYSTEM_CALL_CHECKS
from infra.postgres.audit.tenancy_checks import TENANCY_CHECKS
from infra.postgres.audit.turn_checks import TURN_CHECKS

ROW_CHECKS: Final = TURN_CHECKS | CREDIT_CHECKS | SYSTEM_CALL_CHECKS | JOB_CHECKS
CHECKS: Final = ROW_CHECKS | TENANCY_CHECKS
