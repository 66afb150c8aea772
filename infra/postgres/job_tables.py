"""The names under which the job engine finds its tables; the migrations make them."""

from typing import Final

from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import Channel

# Each is named, because the engine would take what is left out from the environment, even from a bare CHANNEL.
JOB_TABLES: Final = DBSettings(
    prefix="",
    db_schema="mini_chat",
    channel=Channel("mini_chat_jobs"),
    function="notify_jobs_changed",
    trigger="tg_jobs_changed",
    queue_table="jobs",
    queue_table_log="job_log",
    statistics_table="job_statistics",
    schedules_table="job_schedules",
    queue_status_type="job_status",
    durability=Durability.durable,
    widen_id=True,
)

ENVIRONMENT: Final = QueryBuilderEnvironment(JOB_TABLES)
QUEUE: Final = QueryQueueBuilder(JOB_TABLES)
SCHEDULER: Final = QuerySchedulerBuilder(JOB_TABLES)
