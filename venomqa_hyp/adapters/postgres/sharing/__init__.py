"""Let an application in this process use one PostgreSQL connection together with its test."""

from venomqa_hyp.adapters.postgres.sharing.connection import SharedConnection
from venomqa_hyp.adapters.postgres.sharing.django import share_with_django
from venomqa_hyp.adapters.postgres.sharing.engine import share_engine
from venomqa_hyp.adapters.postgres.sharing.pool import SharedPool

__all__ = ["SharedConnection", "SharedPool", "share_engine", "share_with_django"]
