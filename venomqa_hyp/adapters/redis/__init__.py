"""Roll back the keys of a Redis or Valkey server that other processes use."""

from venomqa_hyp.adapters.redis.adapter import RedisAdapter
from venomqa_hyp.adapters.redis.diagnosis import diagnose

__all__ = ["RedisAdapter", "diagnose"]
