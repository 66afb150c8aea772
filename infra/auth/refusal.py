"""Why a credential was refused: a closed set of words for the log. The caller learns only that it was."""

from enum import StrEnum


class Reason(StrEnum):
    MISSING = "missing"
    OVERSIZE = "oversize"
    MALFORMED = "malformed"
    ALGORITHM = "algorithm"
    CRITICAL_HEADER = "critical_header"
    TOKEN_TYPE = "token_type"  # noqa: S105 - a slug
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    MISSING_CLAIM = "missing_claim"
    TENANT_CLAIM = "tenant_claim"
    SUBJECT_CLAIM = "subject_claim"
    GRANT_CLAIM = "grant_claim"


class Refused(Exception):
    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
