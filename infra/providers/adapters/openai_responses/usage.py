"""What a Responses server says it counted."""

from domain.providers.events import Usage
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.members import mapping
from infra.providers.token_count import token_count


def counted(members: object, anomalies: Anomalies, *, spoke: bool) -> Usage | None:
    """None where the remote did not count, or counted nothing although text came: then we estimate."""
    if not isinstance(members, dict):
        return None
    read, written = mapping(members.get("input_tokens_details")), mapping(members.get("output_tokens_details"))
    output = token_count(members.get("output_tokens"))
    usage = Usage(
        input_tokens=token_count(members.get("input_tokens")) or None,
        output_tokens=None if output == 0 and spoke else output,
        cache_read_tokens=token_count(read.get("cached_tokens")),
        cache_write_tokens=token_count(read.get("cache_write_tokens")),
        reasoning_tokens=token_count(written.get("reasoning_tokens")),
    )
    if usage.input_tokens is None or usage.output_tokens is None:
        anomalies[Anomaly.INVALID_USAGE] += 1
    return None if usage.input_tokens is None and usage.output_tokens is None else usage
