"""Which queries describe a database, and after which statements each has to be asked again.

Each part of the schema is one query over information_schema. Its first column names an object, such
as ``index total_at of table orders``; the others define it. Some objects have several rows.
"""

import re

import attrs

from venomqa_hyp.adapters.mysql.driver import Connection, Failed, text

_DENIED = 1142
_I_S = "information_schema"
#: Statements on tables, as the names of the server's ``Com_`` counters have them.
_TABLES = re.compile("table$|index|truncate|sequence|optimize|repair|import|_db")


@attrs.frozen
class Part:
    """One query of the schema.

    :ivar sql: ``{0}`` stands for the name of the database, ``{1}`` for the pattern of its folder.
    :ivar after: the statements that may change it: names of ``Com_`` counters match.
    """

    sql: str
    after: re.Pattern[str]


def parts(connection: Connection) -> dict[str, Part]:
    """Return the parts that the server has and this user may read."""
    products = _MARIADB if connection.is_mariadb else _MYSQL
    found = {**_BOTH, **products}
    try:
        connection.run("SELECT 1 FROM mysql.procs_priv LIMIT 0")
    except Failed as error:
        if error.code != _DENIED:
            raise
        del found["privileges of routines"]
    return found


def filled(part: Part, database: str) -> str:
    """Return the query of a part for a database."""
    return part.sql.format(text(database), text(f"{_as_folder(database)}/%"))


def _as_folder(database: str) -> str:
    """Return the pattern that the name of a database's folder matches.

    Of letters beyond ASCII the server has codes of its own. They are left open: a database whose
    name differs in those only is then looked at too.
    """

    def written(letter: str) -> str:
        if not letter.isascii():
            return "@%"
        if letter == "_":
            return r"\_"
        return letter if letter.isalnum() else f"@{ord(letter):04x}"

    return "".join(map(written, database))


def _of_tables(sql: str) -> Part:
    return Part(sql, _TABLES)


def _storage(view: str) -> Part:
    # Tables in the making, and those of full-text indexes, come and go with others.
    return _of_tables(
        f"SELECT SUBSTRING_INDEX(NAME, '/', -1), TABLE_ID, SPACE FROM {_I_S}.{view}"
        " WHERE CAST(NAME AS BINARY) LIKE CAST({1} AS BINARY)"
        " AND NAME NOT RLIKE '/(#sql|fts_[0-9a-f]{{16}}_)'"
    )


def _columns(own: str) -> Part:
    return _of_tables(
        "SELECT CONCAT('column ', COLUMN_NAME, ' of table ', TABLE_NAME), ORDINAL_POSITION,"
        " COLUMN_TYPE, COLUMN_DEFAULT, IS_NULLABLE, EXTRA, CHARACTER_SET_NAME, COLLATION_NAME,"
        f" GENERATION_EXPRESSION, COLUMN_COMMENT{own} FROM {_I_S}.COLUMNS"
        " WHERE TABLE_SCHEMA = {0} AND TABLE_NAME NOT IN"
        f" (SELECT TABLE_NAME FROM {_I_S}.VIEWS WHERE TABLE_SCHEMA = {{0}})"
    )


def _indexes(own: str) -> Part:
    return _of_tables(
        "SELECT CONCAT('index ', INDEX_NAME, ' of table ', TABLE_NAME), SEQ_IN_INDEX, NON_UNIQUE,"
        f" COLUMN_NAME, COLLATION, SUB_PART, INDEX_TYPE, INDEX_COMMENT, {own}"
        f" FROM {_I_S}.STATISTICS WHERE TABLE_SCHEMA = {{0}}"
    )


def _database(own: str) -> Part:
    return Part(
        "SELECT 'the database', DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME,"
        f" {own} FROM {_I_S}.SCHEMATA WHERE SCHEMA_NAME = {{0}}",
        re.compile("_db"),
    )


def _views(own: str) -> Part:
    return Part(
        "SELECT CONCAT('view ', TABLE_NAME), VIEW_DEFINITION, CHECK_OPTION, DEFINER,"
        f" SECURITY_TYPE, CHARACTER_SET_CLIENT, COLLATION_CONNECTION{own}"
        f" FROM {_I_S}.VIEWS WHERE TABLE_SCHEMA = {{0}}",
        re.compile("view|rename_table"),
    )


_ROUTINES = re.compile("procedure|function|package")
_PRIVILEGES = re.compile("grant|revoke|user|role")
_BOTH = {
    "table": Part(
        "SELECT CONCAT(CASE TABLE_TYPE WHEN 'VIEW' THEN 'view ' WHEN 'SEQUENCE' THEN 'sequence '"
        " ELSE 'table ' END, TABLE_NAME), ENGINE, ROW_FORMAT, TABLE_COLLATION, CREATE_OPTIONS,"
        # Of a view it says whether it is valid, which depends on other databases.
        " IF(TABLE_TYPE = 'VIEW', NULL, TABLE_COMMENT)"
        f" FROM {_I_S}.TABLES WHERE TABLE_SCHEMA = {{0}}",
        re.compile(f"{_TABLES.pattern}|view"),
    ),
    "foreign key": _of_tables(
        "SELECT CONCAT('foreign key ', k.CONSTRAINT_NAME, ' of table ', k.TABLE_NAME),"
        " k.ORDINAL_POSITION, k.COLUMN_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME,"
        f" k.REFERENCED_COLUMN_NAME, r.DELETE_RULE, r.UPDATE_RULE FROM {_I_S}.KEY_COLUMN_USAGE k"
        f" JOIN {_I_S}.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA"
        " AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME"
        " WHERE k.TABLE_SCHEMA = {0} AND k.REFERENCED_TABLE_NAME IS NOT NULL"
    ),
    "partition": _of_tables(
        "SELECT CONCAT('partition ', PARTITION_NAME, ' of table ', TABLE_NAME),"
        " PARTITION_ORDINAL_POSITION, SUBPARTITION_NAME, PARTITION_METHOD, SUBPARTITION_METHOD,"
        " PARTITION_EXPRESSION, SUBPARTITION_EXPRESSION, PARTITION_DESCRIPTION, PARTITION_COMMENT"
        f" FROM {_I_S}.PARTITIONS WHERE TABLE_SCHEMA = {{0}} AND PARTITION_NAME IS NOT NULL"
    ),
    "trigger": Part(
        "SELECT CONCAT('trigger ', TRIGGER_NAME, ' of table ', EVENT_OBJECT_TABLE),"
        " ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, ACTION_STATEMENT, DEFINER, SQL_MODE,"
        " CHARACTER_SET_CLIENT, COLLATION_CONNECTION"
        f" FROM {_I_S}.TRIGGERS WHERE TRIGGER_SCHEMA = {{0}}",
        re.compile("trigger"),
    ),
    "routine": Part(
        # Where the body may not be read, the date tells that it is another one.
        "SELECT CONCAT(LOWER(ROUTINE_TYPE), ' ', ROUTINE_NAME), DTD_IDENTIFIER,"
        " COALESCE(ROUTINE_DEFINITION, LAST_ALTERED), IS_DETERMINISTIC, SQL_DATA_ACCESS,"
        " SECURITY_TYPE, SQL_MODE, ROUTINE_COMMENT, DEFINER, CHARACTER_SET_CLIENT,"
        " COLLATION_CONNECTION, DATABASE_COLLATION"
        f" FROM {_I_S}.ROUTINES WHERE ROUTINE_SCHEMA = {{0}}",
        _ROUTINES,
    ),
    "parameter": Part(
        "SELECT CONCAT(LOWER(ROUTINE_TYPE), ' ', SPECIFIC_NAME), ORDINAL_POSITION, PARAMETER_MODE,"
        " PARAMETER_NAME, DTD_IDENTIFIER, CHARACTER_SET_NAME, COLLATION_NAME"
        f" FROM {_I_S}.PARAMETERS WHERE SPECIFIC_SCHEMA = {{0}}",
        _ROUTINES,
    ),
    "event": Part(
        "SELECT CONCAT('event ', EVENT_NAME), DEFINER, TIME_ZONE, EVENT_DEFINITION, EVENT_TYPE,"
        " EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, SQL_MODE, STARTS, ENDS, STATUS,"
        " ON_COMPLETION, EVENT_COMMENT"
        f" FROM {_I_S}.EVENTS WHERE EVENT_SCHEMA = {{0}}",
        re.compile("event"),
    ),
    "privileges": Part(
        # The name of a database in a grant is a pattern.
        "SELECT CONCAT('privileges of ', GRANTEE), 'database', TABLE_SCHEMA, PRIVILEGE_TYPE,"
        f" IS_GRANTABLE FROM {_I_S}.SCHEMA_PRIVILEGES WHERE {{0}} LIKE TABLE_SCHEMA",
        _PRIVILEGES,
    ),
    "privileges of tables": Part(
        "SELECT CONCAT('privileges of ', GRANTEE, ' on ', TABLE_NAME), 'table', PRIVILEGE_TYPE,"
        f" IS_GRANTABLE FROM {_I_S}.TABLE_PRIVILEGES WHERE TABLE_SCHEMA = {{0}}",
        _PRIVILEGES,
    ),
    "privileges of columns": Part(
        "SELECT CONCAT('privileges of ', GRANTEE, ' on ', TABLE_NAME), 'column', COLUMN_NAME,"
        f" PRIVILEGE_TYPE, IS_GRANTABLE FROM {_I_S}.COLUMN_PRIVILEGES WHERE TABLE_SCHEMA = {{0}}",
        _PRIVILEGES,
    ),
    "privileges of routines": Part(
        "SELECT CONCAT('privileges of ''', User, '''@''', Host, ''' on ', Routine_name), 'routine',"
        " Routine_type, Proc_priv FROM mysql.procs_priv WHERE Db = {0}",
        _PRIVILEGES,
    ),
}
_MARIADB = {
    "storage": _storage("INNODB_SYS_TABLES"),
    "column": _columns(""),
    "index": _indexes("IGNORED"),
    "database": _database("SCHEMA_COMMENT"),
    "definition": _views(", ALGORITHM"),
    "check": _of_tables(
        "SELECT CONCAT('check ', CONSTRAINT_NAME, ' of table ', TABLE_NAME), LEVEL, CHECK_CLAUSE"
        f" FROM {_I_S}.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = {{0}}"
    ),
}
_MYSQL = {
    "storage": _storage("INNODB_TABLES"),
    "column": _columns(", SRS_ID"),
    "index": _indexes("IS_VISIBLE, EXPRESSION"),
    "database": _database("DEFAULT_ENCRYPTION"),
    "definition": _views(""),
    "check": _of_tables(
        "SELECT CONCAT('check ', c.CONSTRAINT_NAME, ' of table ', t.TABLE_NAME), c.CHECK_CLAUSE,"
        f" t.ENFORCED FROM {_I_S}.CHECK_CONSTRAINTS c JOIN {_I_S}.TABLE_CONSTRAINTS t"
        " ON t.CONSTRAINT_SCHEMA = c.CONSTRAINT_SCHEMA AND t.CONSTRAINT_NAME = c.CONSTRAINT_NAME"
        " AND t.CONSTRAINT_TYPE = 'CHECK' WHERE c.CONSTRAINT_SCHEMA = {0}"
    ),
}
