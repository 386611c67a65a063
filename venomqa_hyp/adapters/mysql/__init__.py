"""MySQL and MariaDB: roll back by what row triggers wrote down."""

from venomqa_hyp.adapters.mysql.adapter import MySQLAdapter

__all__ = ["MySQLAdapter"]
