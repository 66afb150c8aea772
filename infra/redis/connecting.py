"""A connection pool to Redis whose every wait is bounded and which repeats nothing by itself."""

from datetime import timedelta

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def redis_at(url: str, timeout: timedelta) -> Redis:
    """`timeout` bounds the connection and each answer; whether a call is made again is for its caller to know."""
    seconds = timeout.total_seconds()
    return Redis.from_url(
        url,
        protocol=2,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        retry=Retry(NoBackoff(), retries=0),
    )
