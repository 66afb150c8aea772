"""Dead letters over HTTP: looked at, and let go again."""

from typing import Annotated, Any, Final

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from msgspec import Meta

from api.rest.cursor import Cursors
from api.rest.endpoint import endpoint
from api.rest.jobs.schemas import DeadJobOut, DeadJobPageOut, QueueOut, QueuesOut, RedrivenOut
from api.rest.list_spec import NO_OWN_OPTIONS, ListSpec
from api.rest.listing import Listing
from domain.auth.policy import Action
from domain.errors import JobNotFound
from domain.operations.listing import DEAD_JOB_LIST
from domain.operations.service import JobAdministration
from domain.subject import Subject

DEAD_JOBS: Final = ListSpec(resource="dead_jobs", shape=DEAD_JOB_LIST, item=DeadJobOut, own=NO_OWN_OPTIONS)

JobNumber = Annotated[int, Meta(ge=1, le=2**63 - 1)]
QueueName = Annotated[str, Meta(min_length=1, max_length=64)]


class JobController(Controller):
    path = "/admin/jobs"
    tags = ("Administration",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_dead_jobs",
        summary="List the jobs that are not tried again, the last to die first",
        opt=endpoint(Action.READ_JOBS, lists=DEAD_JOBS),
    )
    async def list_dead_jobs(
        self,
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        jobs: NamedDependency[JobAdministration],
        cursors: NamedDependency[Cursors],
    ) -> Response[DeadJobPageOut]:
        listing = Listing(request, cursors, DEAD_JOBS, subject)
        page = await jobs.page(subject, listing.query)
        return listing.answer(DeadJobPageOut, page, DeadJobOut.of)

    @get(
        "/queues",
        status_code=200,
        operation_id="mini_chat.list_queues",
        summary="Count the jobs of every queue",
        opt=endpoint(Action.READ_JOBS),
    )
    async def list_queues(
        self, subject: NamedDependency[Subject], jobs: NamedDependency[JobAdministration]
    ) -> QueuesOut:
        return QueuesOut(items=tuple(map(QueueOut.of, await jobs.queues(subject))))

    @post(
        "/{job_id:str}/redrive",
        status_code=200,
        operation_id="mini_chat.redrive_job",
        summary="Let a dead job be tried again",
        opt=endpoint(Action.REDRIVE_JOBS, JobNotFound),
    )
    async def redrive_job(
        self, job_id: FromPath[JobNumber], subject: NamedDependency[Subject], jobs: NamedDependency[JobAdministration]
    ) -> RedrivenOut:
        await jobs.redrive(subject, job_id)
        return RedrivenOut(redriven=1)

    @post(
        "/queues/{queue:str}/redrive",
        status_code=200,
        operation_id="mini_chat.redrive_queue",
        summary="Let the dead jobs of a queue be tried again",
        opt=endpoint(Action.REDRIVE_JOBS, JobNotFound),
    )
    async def redrive_queue(
        self, queue: FromPath[QueueName], subject: NamedDependency[Subject], jobs: NamedDependency[JobAdministration]
    ) -> RedrivenOut:
        return RedrivenOut(redriven=await jobs.redrive_queue(subject, queue))
