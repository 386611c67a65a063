"""MySQL and MariaDB: roll back by what row triggers wrote down."""

from venomqa_hyp.adapters.mysql.adapter import MySQLAdapter, remove_journal
from venomqa_hyp.adapters.mysql.savepoint import SharedConnection

__all__ = ["MySQLAdapter", "SharedConnection", "remove_journal"]
