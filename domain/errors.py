"""What can be refused, and the stable slug each refusal carries.

    DomainError(kind, code, sentence)
    ├── InvalidRequest, InvalidModel, InvalidAttachment, InvalidTurnState,
    │   ChatEmpty                                                            invalid
    ├── Unauthorized                                                         unauthenticated
    ├── Forbidden, FeatureNotLicensed                                        forbidden
    ├── ChatNotFound, TurnNotFound, ModelNotFound, TenantNotFound            not_found
    ├── RequestIdConflict, GenerationInProgress, NotLatestTurn               conflict
    ├── RequestIdReused, InvalidFilter, InvalidOrder, InvalidCursor,
    │   InvalidLimit, InputTooLong, ContextBudgetExceeded                    mismatch
    ├── RateLimited, TooManyActiveTurns                                      rate_limited
    ├── QuotaExceeded                                                        quota_exhausted
    ├── BodyTooLarge                                                         too_large
    ├── UnsupportedContentType                                               unsupported
    ├── ProviderUnavailable, ServiceUnavailable                              unavailable
    └── TurnEnded (domain/streaming/failures)                                the kind of the turn's own code

No HTTP number stands here: REST, gRPC, jobs and the command line each map the same kinds.
A missing object and a foreign one raise the same error, so their answers cannot drift apart.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import Enum
from typing import ClassVar

import msgspec

Member = str | int | tuple[str, ...]


class Kind(Enum):
    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    MISMATCH = "mismatch"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    RATE_LIMITED = "rate_limited"
    QUOTA_EXHAUSTED = "quota_exhausted"
    UPSTREAM = "upstream"
    UPSTREAM_TIMEOUT = "upstream_timeout"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One thing wrong with a request: the member, query option, header or path parameter, and a stable code."""

    field: str
    message: str
    code: str


class DomainError(Exception):
    """A refusal. `sentence` is for people and names no internals; `code` is what programs branch on."""

    kind: Kind
    code: str
    sentence: ClassVar[str]

    def __init__(
        self,
        sentence: str | None = None,
        *,
        faults: tuple[Fault, ...] = (),
        retry_after: timedelta | None = None,
        members: Mapping[str, Member] | None = None,
    ) -> None:
        super().__init__(self.code)
        self.detail = sentence or self.sentence
        self.faults = faults
        self.retry_after = retry_after
        self.members: Mapping[str, Member] = members or {}


class InvalidRequest(DomainError):
    kind, code = Kind.INVALID, "invalid_request"
    sentence = "The request is not valid."

    @classmethod
    def of(cls, field: str, message: str, code: str) -> "InvalidRequest":
        return cls(faults=(Fault(field=field, message=message, code=code),))


class InvalidModel(DomainError):
    kind, code = Kind.INVALID, "invalid_model"
    sentence = "The model does not exist or cannot be used."


class InvalidAttachment(DomainError):
    kind, code = Kind.INVALID, "invalid_attachment"
    sentence = "An attachment cannot be used with this message."


class ImagesDisabled(DomainError):
    kind, code = Kind.INVALID, "images_disabled"
    sentence = "Images are switched off at the moment."


class WebSearchDisabled(DomainError):
    kind, code = Kind.INVALID, "web_search_disabled"
    sentence = "Web search is switched off at the moment."


class InvalidTurnState(DomainError):
    kind, code = Kind.INVALID, "invalid_turn_state"
    sentence = "A turn that is running cannot be retried, edited or deleted."

    def __init__(self, turn_state: str) -> None:
        super().__init__(members={"turn_state": turn_state})


class ChatEmpty(DomainError):
    kind, code = Kind.INVALID, "chat_empty"
    sentence = "There is no message yet that a title could be made of."


class Unauthorized(DomainError):
    """`presented` tells whether a credential was sent at all (RFC 6750, section 3.1)."""

    kind, code = Kind.UNAUTHENTICATED, "unauthorized"
    sentence = "A valid credential is required."

    def __init__(self, *, presented: bool) -> None:
        super().__init__()
        self.presented = presented


class Forbidden(DomainError):
    kind, code = Kind.FORBIDDEN, "forbidden"
    sentence = "You may not do this."


class FeatureNotLicensed(DomainError):
    kind, code = Kind.FORBIDDEN, "feature_not_licensed"
    sentence = "Your licence does not include this feature."

    def __init__(self, feature: str) -> None:
        super().__init__(members={"feature": feature})


class ChatNotFound(DomainError):
    kind, code = Kind.NOT_FOUND, "chat_not_found"
    sentence = "There is no such chat."


class TurnNotFound(DomainError):
    kind, code = Kind.NOT_FOUND, "turn_not_found"
    sentence = "There is no such turn."


class ModelNotFound(DomainError):
    kind, code = Kind.NOT_FOUND, "model_not_found"
    sentence = "There is no such model."


class JobNotFound(DomainError):
    kind, code = Kind.NOT_FOUND, "job_not_found"
    sentence = "There is no such dead job, or no such queue."


class TenantNotFound(DomainError):
    kind, code = Kind.NOT_FOUND, "tenant_not_found"
    sentence = "There is no such tenant."


class KillSwitchNotFound(DomainError):
    kind, code = Kind.NOT_FOUND, "kill_switch_not_found"
    sentence = "There is no such kill switch."


class RequestIdConflict(DomainError):
    kind, code = Kind.CONFLICT, "request_id_conflict"
    sentence = "A turn with this request_id exists already and cannot be replayed."

    def __init__(self, turn_state: str) -> None:
        super().__init__(members={"turn_state": turn_state})


class GenerationInProgress(DomainError):
    kind, code = Kind.CONFLICT, "generation_in_progress"
    sentence = "Another answer is being generated in this chat."

    def __init__(self, running_request_id: str) -> None:
        super().__init__(members={"running_request_id": running_request_id})


class NotLatestTurn(DomainError):
    kind, code = Kind.CONFLICT, "not_latest_turn"
    sentence = "Only the newest turn of a chat can be retried, edited or deleted."


class VersionConflict(DomainError):
    kind, code = Kind.CONFLICT, "version_conflict"
    sentence = "It has been changed by somebody else since."

    def __init__(self, current_version: int) -> None:
        super().__init__(members={"current_version": current_version})


class RequestIdReused(DomainError):
    kind, code = Kind.MISMATCH, "request_id_reused"
    sentence = "This request_id belongs to a different message."


class InvalidFilter(DomainError):
    kind, code = Kind.MISMATCH, "invalid_filter"
    sentence = "The filter is not valid for this list."

    @classmethod
    def of(cls, message: str, code: str) -> "InvalidFilter":
        return cls(faults=(Fault(field="$filter", message=message, code=code),))


class InvalidOrder(DomainError):
    kind, code = Kind.MISMATCH, "invalid_orderby"
    sentence = "The order is not valid for this list."

    @classmethod
    def of(cls, message: str, code: str) -> "InvalidOrder":
        return cls(faults=(Fault(field="$orderby", message=message, code=code),))


class CatalogueInvalid(DomainError):
    """`faults` holds everything that is wrong with it."""

    kind, code = Kind.MISMATCH, "catalogue_invalid"
    sentence = "The model catalogue fails its checks; the last good one stays in force."


class InvalidCursor(DomainError):
    kind, code = Kind.MISMATCH, "invalid_cursor"
    sentence = "The cursor is not valid for this list."


class InvalidLimit(DomainError):
    kind, code = Kind.MISMATCH, "invalid_limit"
    sentence = "The limit is out of range."


class InputTooLong(DomainError):
    kind, code = Kind.MISMATCH, "input_too_long"
    sentence = "The message is longer than the model accepts."

    def __init__(self, *, max_input_tokens: int, estimated_tokens: int) -> None:
        super().__init__(members={"max_input_tokens": max_input_tokens, "estimated_tokens": estimated_tokens})
        self.estimated_tokens = estimated_tokens


class ContextBudgetExceeded(DomainError):
    kind, code = Kind.MISMATCH, "context_budget_exceeded"
    sentence = "The message and its mandatory context do not fit the model."

    def __init__(self, *, max_input_tokens: int, estimated_tokens: int) -> None:
        super().__init__(members={"max_input_tokens": max_input_tokens, "estimated_tokens": estimated_tokens})
        self.estimated_tokens = estimated_tokens


class RateLimited(DomainError):
    kind, code = Kind.RATE_LIMITED, "rate_limited"
    sentence = "There are too many requests, here or at the model provider."


class QuotaExceeded(DomainError):
    """`scope` names the bucket that is in the way and resets last; `retry_after` is its reset (api.md 1.7).

    Of a tool whose calls of the day are used up it is the name of the tool (engine.md 4.8).
    """

    kind, code = Kind.QUOTA_EXHAUSTED, "quota_exceeded"
    sentence = "The credit limit is used up."

    def __init__(self, scope: str, retry_after: timedelta, sentence: str | None = None) -> None:
        super().__init__(sentence, retry_after=retry_after, members={"quota_scope": scope})


class TooManyActiveTurns(DomainError):
    kind, code = Kind.RATE_LIMITED, "too_many_active_turns"
    sentence = "As many answers are being generated as may be at the same time."

    def __init__(self, policy: str) -> None:
        super().__init__(retry_after=timedelta(seconds=1), members={"violated_policies": (policy,)})


class BodyTooLarge(DomainError):
    kind, code = Kind.TOO_LARGE, "body_too_large"
    sentence = "The request body is too large."

    def __init__(self, max_bytes: int) -> None:
        super().__init__(members={"max_bytes": max_bytes})


class UnsupportedContentType(DomainError):
    kind, code = Kind.UNSUPPORTED, "unsupported_content_type"
    sentence = "The request body must be application/json."


class GenerationDisabled(DomainError):
    kind, code = Kind.UNAVAILABLE, "generation_disabled"
    sentence = "Answers are switched off at the moment."


class ProviderUnavailable(DomainError):
    kind, code = Kind.UNAVAILABLE, "provider_unavailable"
    sentence = "The model provider cannot be reached."


class ServiceUnavailable(DomainError):
    kind, code = Kind.UNAVAILABLE, "service_unavailable"
    sentence = "The service cannot take this request right now."
