"""Passwords, access tokens, sessions and rate limits.

An access token is a JWT that names a session. Sessions are hashes in Redis, which expire an hour
after they were last used; a set for each user lists them, so that all of them can be ended.
"""

import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fastapi import HTTPException
from redis.asyncio import Redis
from starlette.concurrency import run_in_threadpool

TOKEN_LIFETIME = timedelta(hours=1)
SESSION_LIFETIME = timedelta(hours=1)
RATE_WINDOW = timedelta(minutes=1)


class Passwords:
    """Hashes by Argon2, off the event loop.

    ``SHOP_ARGON2_MEMORY`` (KiB) and ``SHOP_ARGON2_ROUNDS`` make it cheap outside of production.
    """

    def __init__(self) -> None:
        defaults = PasswordHasher()
        self._hasher = PasswordHasher(
            time_cost=int(os.environ.get("SHOP_ARGON2_ROUNDS", defaults.time_cost)),
            memory_cost=int(os.environ.get("SHOP_ARGON2_MEMORY", defaults.memory_cost)),
            parallelism=1,
        )

    async def hash(self, password: str) -> str:
        return await run_in_threadpool(self._hasher.hash, password)

    async def is_right(self, password_hash: str, password: str) -> bool:
        try:
            return await run_in_threadpool(self._hasher.verify, password_hash, password)
        except VerifyMismatchError:
            return False


class Sessions:
    """Starts, finds and ends the sessions of users."""

    def __init__(self, redis: "Redis[Any]", prefix: str, secret: str, bugs: frozenset[str]) -> None:
        self._redis = redis
        self._prefix = prefix
        self._secret = secret
        self._bugs = bugs

    async def start(self, user_id: UUID) -> str:
        """Start a session and return an access token for it."""
        now, session_id = datetime.now(UTC), uuid4()
        session = {"user_id": str(user_id), "started_at": now.isoformat(), "seen_at": ""}
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._session(session_id), mapping=session)
            pipe.expire(self._session(session_id), SESSION_LIFETIME)
            pipe.sadd(self._index(user_id), str(session_id))
            await pipe.execute()
        claims = {
            "sub": str(user_id),
            "sid": str(session_id),
            "jti": str(uuid4()),
            "iat": now,
            "exp": now + TOKEN_LIFETIME,
        }
        return jwt.encode(claims, self._secret, algorithm="HS256")

    async def find(self, token: str) -> tuple[UUID, UUID]:
        """Return the ids of the user and the session of an access token.

        :raises HTTPException: the token is not valid, or its session has ended.
        """
        try:
            claims = jwt.decode(token, self._secret, algorithms=["HS256"])
        except jwt.InvalidTokenError as error:
            raise HTTPException(401, "invalid token") from error
        session_id = UUID(claims["sid"])
        key = self._session(session_id)
        user_id = await self._redis.hget(key, "user_id")
        if user_id is None:
            raise HTTPException(401, "the session has ended")
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(key, "seen_at", datetime.now(UTC).isoformat())
            pipe.expire(key, SESSION_LIFETIME)
            await pipe.execute()
        return UUID(user_id), session_id

    async def end(self, user_id: UUID, session_id: UUID) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(self._session(session_id))
            pipe.srem(self._index(user_id), str(session_id))
            await pipe.execute()

    async def end_others(self, user_id: UUID, kept: UUID) -> None:
        """End all sessions of a user but one."""
        index = self._index(user_id)
        listed = {UUID(text) for text in await self._redis.smembers(index)} - {kept}
        async with self._redis.pipeline(transaction=True) as pipe:
            for session_id in listed:
                # Planted: a session is looked up by its own key, whatever the set lists.
                if "session" not in self._bugs:
                    pipe.delete(self._session(session_id))
                pipe.srem(index, str(session_id))
            await pipe.execute()

    def _session(self, session_id: UUID) -> str:
        return f"{self._prefix}session:{session_id}"

    def _index(self, user_id: UUID) -> str:
        return f"{self._prefix}sessions-of:{user_id}"


class RateLimit:
    """Counts requests in Redis, from the first one for a minute."""

    def __init__(self, redis: "Redis[Any]", prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix

    async def spend(self, purpose: str, who: str, limit: int) -> None:
        """Count a request.

        :raises HTTPException: there were more than *limit* within a minute.
        """
        key = f"{self._prefix}rate:{purpose}:{who}"
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.set(key, 0, ex=RATE_WINDOW, nx=True)
            pipe.incr(key)
            pipe.ttl(key)
            _, count, seconds = await pipe.execute()
        if count > limit:
            raise HTTPException(429, "too many requests", {"Retry-After": str(seconds)})
