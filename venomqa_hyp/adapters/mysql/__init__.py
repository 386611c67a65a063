"""MySQL and MariaDB: roll back by what row triggers wrote down."""

from venomqa_hyp.adapters.mysql.adapter import MySQLAdapter
from venomqa_hyp.adapters.mysql.diagnosis import diagnose
from venomqa_hyp.adapters.mysql.recovery import remove_journal

__all__ = ["MySQLAdapter", "diagnose", "remove_journal"]
