"""Uses counted in Redis, for all processes: one script, which runs alone and reads Redis' own clock.

Each use under a policy is a hash from slot to count that ends by itself. What Redis forgets is forgiven.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from domain.limits.models import SLOTS, Permit, Standing, Use, Verdict
from domain.limits.ports import RateLimiter
from infra.redis.client import NAMESPACE, RedisClient, RedisUnavailable
from infra.redis.script import Script

_OPERATION: Final = "limit"
_NEVER: Final = -1

# A slot far ahead is from before the clock was set back, and would never leave by itself.
_TAKE: Final = Script(
    """
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local slots = tonumber(ARGV[1])
local looks, granted = {}, 1
for i, key in ipairs(KEYS) do
  local quota, slot_ms, count = tonumber(ARGV[3*i-1]), tonumber(ARGV[3*i]), tonumber(ARGV[3*i+1])
  local slot, used, oldest = math.floor(now_ms / slot_ms), 0, nil
  local fields = redis.call('HGETALL', key)
  for f = 1, #fields, 2 do
    local counted = tonumber(fields[f])
    if counted < slot - slots or counted > slot + slots then
      redis.call('HDEL', key, fields[f])
    else
      used = used + tonumber(fields[f+1])
      if not oldest or counted < oldest then oldest = counted end
    end
  end
  if count > 0 and used + count > quota then granted = 0 end
  looks[i] = {quota, slot_ms, count, slot, used, oldest}
end
local told = {granted}
for i, key in ipairs(KEYS) do
  local quota, slot_ms, count, slot, used, oldest = unpack(looks[i], 1, 6)
  if granted == 1 and count > 0 then
    redis.call('HINCRBY', key, slot, count)
    redis.call('PEXPIRE', key, (slots + 2) * slot_ms)
    used, oldest = used + count, oldest or slot
  end
  told[#told+1] = math.max(quota - used, 0)
  told[#told+1] = oldest and (oldest + 1 + slots) * slot_ms - now_ms or -1
  told[#told+1] = slot
end
return told
"""
)

# A count of nothing would otherwise be taken away as "-0", which is no number to Redis.
_GIVE_BACK: Final = Script(
    """
for i, key in ipairs(KEYS) do
  local slot, count = ARGV[2*i-1], tonumber(ARGV[2*i])
  if redis.call('HEXISTS', key, slot) == 1 and redis.call('HINCRBY', key, slot, 0 - count) <= 0 then
    redis.call('HDEL', key, slot)
  end
end
"""
)


class RedisRateLimiter:
    """Fills the port RateLimiter. While Redis is away each process counts for itself, in `twin`."""

    def __init__(self, client: RedisClient, twin: RateLimiter) -> None:
        self._client = client
        self._twin = twin

    async def take(self, uses: Sequence[Use]) -> Verdict:
        arguments = [SLOTS, *(number for use in uses for number in (use.policy.quota, use.policy.slot_ms, use.count))]
        try:
            granted, *told = await self._client.call(_OPERATION, lambda redis: _TAKE.run(redis, _keys(uses), arguments))
        except RedisUnavailable:
            return await self._twin.take(uses)
        standings = tuple(
            Standing(use.policy, remaining, None if grows_in_ms == _NEVER else grows_in_ms)
            for use, remaining, grows_in_ms in zip(uses, told[::3], told[1::3], strict=True)
        )
        return Verdict(standings, Permit(tuple(uses), tuple(told[2::3]), is_shared=True) if granted else None)

    async def give_back(self, permit: Permit) -> None:
        if not permit.is_shared:
            await self._twin.give_back(permit)
            return
        arguments = [
            number for use, slot in zip(permit.uses, permit.slots, strict=True) for number in (slot, use.count)
        ]
        with suppress(RedisUnavailable):
            await self._client.call(_OPERATION, lambda redis: _GIVE_BACK.run(redis, _keys(permit.uses), arguments))


def _keys(uses: Sequence[Use]) -> list[str]:
    return [f"{NAMESPACE}limit:{use.holder}:{use.policy.name}" for use in uses]
