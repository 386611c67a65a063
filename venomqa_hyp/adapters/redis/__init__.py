"""Roll back the keys of a Redis or Valkey server that other processes use."""

from venomqa_hyp.adapters.redis.adapter import RedisAdapter

__all__ = ["RedisAdapter"]
