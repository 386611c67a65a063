"""MySQL and MariaDB: roll back by what row triggers wrote down."""

from venomqa_hyp.adapters.mysql.adapter import MySQLAdapter
from venomqa_hyp.adapters.mysql.savepoint import SharedConnection

__all__ = ["MySQLAdapter", "SharedConnection"]
