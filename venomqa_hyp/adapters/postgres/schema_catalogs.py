"""The catalogs of PostgreSQL that describe objects, and the query that reads all of them.

Which catalogs and columns there are differs with the version, and which may be read with the role;
so the query is built of those that this server has and shows:
https://www.postgresql.org/docs/current/catalogs.html
"""

import attrs

from venomqa_hyp.adapters.postgres.catalog import CONTENTS_ARE_READ, literal, quoted
from venomqa_hyp.adapters.postgres.driver import Connection

#: Objects with smaller numbers were made by initdb: ``FirstNormalObjectId`` of the server.
FIRST_OBJECT = 16384


#: Of rows: grows when one is changed, which is then a new one with a newer xmin. Ages are relative
#: to the present, their differences are not; but those of the rows that initdb made are always
#: the greatest there is.
_AGES = "FILTER (WHERE age(xmin) < 2147483647)"
BORN = (
    f"count(*) + count(*) {_AGES} * (age('3'::xid) + 10000000000) "
    f"- coalesce(sum(age(xmin)) {_AGES}, 0)"
)


@attrs.frozen
class Kind:
    """One catalog. Expressions are SQL over its row, called ``t``.

    :ivar of: catalog of the object that a row describes, or is a part of; itself by default.
    :ivar number: expression for the OID of that object.
    :ivar sub: expression for the number of a column, else 0.
    :ivar more: expression for what else the key of a row needs.
    :ivar owner: expressions for catalog and OID of the object without which this one is nothing.
    :ivar namespace: expression for the OID of the schema; that of the owner where it is NULL.
    :ivar part: expression for what a row describes of the object; of all of it by default.
    :ivar where: condition.
    :ivar whole: objects of the system are read as well, since they are few.
    """

    catalog: str
    of: str = ""
    number: str = "t.oid"
    sub: str = "0"
    more: str = "NULL"
    owner: tuple[str, str] = ("NULL", "NULL")
    namespace: str = "NULL"
    part: str = "NULL"
    where: str = "true"
    whole: bool = False


def _part_of(catalog: str, of: str, number: str, more: str, part: str = "NULL") -> Kind:
    owner = (f"'{of}'", f"t.{number}")
    return Kind(catalog, of, f"t.{number}", more=more, owner=owner, part=part)


def _on_table(catalog: str, number: str) -> Kind:
    return Kind(catalog, owner=("'pg_class'", f"t.{number}"))


def _about_any(catalog: str, part: str, more: str = "NULL") -> Kind:
    """Return a catalog whose rows say something of objects of any kind."""
    about = "t.classoid::regclass::text"
    owner = (about, "t.objoid")
    return Kind(catalog, about, "t.objoid", "t.objsubid", more, owner, part=part)


_OWN_DATABASE = "(SELECT oid FROM pg_database WHERE datname = current_database())"

#: In the order in which differences are shown.
KINDS = (
    Kind("pg_namespace", namespace="t.oid", whole=True),
    Kind("pg_extension", whole=True),
    Kind("pg_language", whole=True),
    Kind(
        "pg_class",
        namespace="t.relnamespace",
        # An index has a table, and so has the sequence of a column.
        owner=(
            "'pg_class'",
            "CASE t.relkind WHEN 'S' THEN (SELECT refobjid FROM pg_depend "
            "WHERE classid = 'pg_class'::regclass AND objid = t.oid AND deptype IN ('a', 'i') "
            "AND refclassid = 'pg_class'::regclass AND refobjsubid > 0) "
            "ELSE (SELECT indrelid FROM pg_index WHERE indexrelid = t.oid) END",
        ),
        # VACUUM FULL writes the rows of all tables of the system anew.
        whole=True,
    ),
    Kind(
        "pg_attribute",
        "pg_class",
        "t.attrelid",
        sub="t.attnum",
        owner=("'pg_class'", "t.attrelid"),
        where="t.attnum > 0 AND NOT t.attisdropped",
    ),
    Kind(
        "pg_attrdef",
        "pg_class",
        "t.adrelid",
        sub="t.adnum",
        owner=("'pg_class'", "t.adrelid"),
        part="'default'",
    ),
    Kind(
        "pg_constraint",
        owner=(
            "CASE WHEN t.conrelid <> 0 THEN 'pg_class' ELSE 'pg_type' END",
            "CASE WHEN t.conrelid <> 0 THEN t.conrelid ELSE t.contypid END",
        ),
    ),
    _on_table("pg_policy", "polrelid"),
    _on_table("pg_rewrite", "ev_class"),
    _part_of("pg_index", "pg_class", "indexrelid", "NULL"),
    _part_of("pg_sequence", "pg_class", "seqrelid", "NULL"),
    _part_of("pg_inherits", "pg_class", "inhrelid", "t.inhseqno", "'parent'"),
    _part_of("pg_partitioned_table", "pg_class", "partrelid", "NULL", "'partitioning'"),
    _part_of("pg_foreign_table", "pg_class", "ftrelid", "NULL"),
    Kind("pg_statistic_ext", namespace="t.stxnamespace", owner=("'pg_class'", "t.stxrelid")),
    _part_of("pg_enum", "pg_type", "enumtypid", "t.oid", "'label ' || quote_literal(t.enumlabel)"),
    _part_of("pg_range", "pg_type", "rngtypid", "NULL"),
    Kind(
        "pg_type",
        namespace="t.typnamespace",
        # The type of a table's rows, and the array of a type, come and go with it.
        owner=(
            "CASE WHEN t.typrelid <> 0 THEN 'pg_class' ELSE 'pg_type' END",
            "CASE WHEN t.typrelid <> 0 THEN t.typrelid ELSE t.typelem END",
        ),
    ),
    Kind("pg_proc", namespace="t.pronamespace"),
    _part_of("pg_aggregate", "pg_proc", "aggfnoid", "NULL"),
    Kind("pg_operator", namespace="t.oprnamespace"),
    Kind("pg_opfamily", namespace="t.opfnamespace"),
    Kind("pg_opclass", namespace="t.opcnamespace"),
    Kind("pg_amop", owner=("'pg_opfamily'", "t.amopfamily")),
    Kind("pg_amproc", owner=("'pg_opfamily'", "t.amprocfamily")),
    Kind("pg_am", whole=True),
    Kind("pg_cast"),
    Kind("pg_collation", namespace="t.collnamespace"),
    Kind("pg_conversion", namespace="t.connamespace"),
    Kind("pg_transform"),
    Kind("pg_ts_config", namespace="t.cfgnamespace"),
    _part_of(
        "pg_ts_config_map",
        "pg_ts_config",
        "mapcfg",
        "concat_ws(' ', t.maptokentype, t.mapseqno)",
        "'mapping'",
    ),
    Kind("pg_ts_dict", namespace="t.dictnamespace"),
    Kind("pg_ts_parser", namespace="t.prsnamespace"),
    Kind("pg_ts_template", namespace="t.tmplnamespace"),
    Kind("pg_event_trigger", whole=True),
    Kind("pg_foreign_data_wrapper", whole=True),
    Kind("pg_foreign_server", owner=("'pg_foreign_data_wrapper'", "t.srvfdw")),
    Kind("pg_user_mapping", owner=("'pg_foreign_server'", "t.umserver")),
    Kind("pg_publication", whole=True),
    _on_table("pg_publication_rel", "prrelid"),
    Kind("pg_publication_namespace", namespace="t.pnnspid"),
    Kind("pg_subscription", where=f"t.subdbid = {_OWN_DATABASE}", whole=True),
    Kind("pg_default_acl", namespace="nullif(t.defaclnamespace, 0)"),
    _about_any("pg_init_privs", "'initial privileges'", "t.privtype"),
    _about_any("pg_description", "'comment'"),
    _about_any("pg_seclabel", "'security label'", "t.provider"),
    Kind("pg_largeobject_metadata", "pg_largeobject", whole=True),
    Kind("pg_database", where="t.datname = current_database()", whole=True),
    Kind(
        "pg_db_role_setting",
        "pg_database",
        "t.setdatabase",
        more="t.setrole",
        part="'settings' || CASE WHEN t.setrole = 0 THEN '' "
        "ELSE format(' for role %s', t.setrole::regrole) END",
        where=f"t.setdatabase = {_OWN_DATABASE}",
        whole=True,
    ),
    Kind(
        "pg_shdescription",
        "pg_database",
        "t.objoid",
        part="'comment'",
        where=f"t.classoid = 'pg_database'::regclass AND t.objoid = {_OWN_DATABASE}",
        whole=True,
    ),
    # Last: the triggers of foreign keys come and go with their constraints.
    _on_table("pg_trigger", "tgrelid"),
)

#: What changes by itself (VACUUM, ANALYZE, TRUNCATE, REINDEX, CLUSTER, REFRESH MATERIALIZED VIEW,
#: each rewrite of a table), and what only repeats the key or another row.
_NO_DEFINITION = {
    *("oid", "relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid"),
    *("relminmxid", "relfilenode", "relispopulated", "relhasindex", "relhasrules"),
    *("relhastriggers", "relhassubclass", "relnatts", "relchecks", "relrewrite"),
    *("atthasdef", "atthasmissing", "attmissingval", "attcacheoff", "attisdropped"),
    *("indcheckxmin", "datfrozenxid", "datminmxid", "datlastsysoid", "subskiplsn"),
    *("ev_qual", "typdefaultbin", "attlen", "attalign", "attbyval", "atttypmod"),
}
#: What is compared in place of a column: a tree of a parser knows where in its text a word stood.
_IN_PLACE = {
    # Options of the table for TOAST, which VACUUM FULL replaces by another table.
    "reltoastrelid": "(SELECT reloptions FROM pg_class WHERE oid = t.reltoastrelid)",
    "relpartbound": "pg_get_expr(t.relpartbound, t.oid)",
    # Some minor releases (15.20) keep a version there, which changes with any column of the table.
    "attoptions": "(SELECT array_agg(o) FROM unnest(t.attoptions) AS o "
    "WHERE o NOT LIKE 'pg\\_attver=%')",
    "atttypid": "format_type(t.atttypid, t.atttypmod)",
    "adbin": "pg_get_expr(t.adbin, t.adrelid)",
    "conbin": "pg_get_constraintdef(t.oid)",
    "ev_action": "pg_get_ruledef(t.oid)",
    "indexprs": "pg_get_expr(t.indexprs, t.indrelid)",
    "indpred": "pg_get_expr(t.indpred, t.indrelid)",
    "polqual": "pg_get_expr(t.polqual, t.polrelid)",
    "polroles": "t.polroles::regrole[]",
    "polwithcheck": "pg_get_expr(t.polwithcheck, t.polrelid)",
    "proargdefaults": "pg_get_expr(t.proargdefaults, 0)",
    "prosqlbody": "pg_get_function_sqlbody(t.oid)",
    "prqual": "pg_get_expr(t.prqual, t.prrelid)",
    "stxexprs": "pg_get_expr(t.stxexprs, t.stxrelid)",
    "tgqual": "CASE WHEN t.tgqual IS NOT NULL THEN pg_get_triggerdef(t.oid) END",
}


def snapshot_query(connection: Connection) -> str:
    """Return the query for one row of each object, and of each part of one.

    Its columns: catalog, address of the object (catalog and OID), rest of the key, address of the
    owner, OID of the schema, name, definition as JSON. Of the objects of the system only those are
    read that were written from now on, and the number of all in each catalog.
    """
    ((start,),) = connection.execute(_NOW)
    columns: dict[str, list[str]] = {}
    catalogs = [kind.catalog for kind in KINDS]
    for catalog, column, is_role in connection.execute(_COLUMNS, [catalogs]):
        if column not in _NO_DEFINITION:
            columns.setdefault(catalog, []).append(_value(column, is_role))
    present = [kind for kind in KINDS if kind.catalog in columns]
    parts = [_rows(kind, columns[kind.catalog], start) for kind in present]
    parts += [_count(kind) for kind in present if not kind.whole]
    if connection.execute(f"SELECT {CONTENTS_ARE_READ}")[0][0]:
        parts.append(_CONTENTS)
    return "\nUNION ALL ".join(parts)


def _rows(kind: Kind, columns: list[str], start: str) -> str:
    of = kind.of or kind.catalog
    of = of if "." in of else literal(of)
    own = (
        "true" if kind.whole else f"{kind.number} >= {FIRST_OBJECT} OR age(t.xmin) <= age({start})"
    )
    owner, number = kind.owner
    return f"""SELECT {literal(kind.catalog)}, concat_ws(' ', {of}, {kind.number}::oid),
            concat_ws(' ', {kind.sub}, {kind.more}), {owner} || ' ' || {number},
            ({kind.namespace})::bigint, concat_ws(' of ', {kind.part}, i.type || ' ' || i.identity),
            (SELECT row_to_json(s)::text FROM (SELECT {", ".join(columns)}) AS s)
        FROM pg_catalog.{kind.catalog} AS t,
            pg_identify_object(({of})::regclass, {kind.number}, {kind.sub}) AS i
        WHERE ({own}) AND {kind.where}"""


def _value(column: str, is_role: bool) -> str:
    """Return what is compared: roles by name, since a message shows them."""
    value = _IN_PLACE.get(column, f"t.{column}::regrole" if is_role else f"t.{column}")
    return f"{value} AS {quoted(column)}"


def _count(kind: Kind) -> str:
    return f"""SELECT {literal(kind.catalog)}, {literal(f"{kind.catalog} 0")}, 'count', NULL, NULL,
            {literal(f"objects of the system in {kind.catalog}")},
            json_build_object('number', count(*))::text
        FROM pg_catalog.{kind.catalog} AS t WHERE {kind.number} < {FIRST_OBJECT}"""


#: The content of each large object; its rows are written anew where it changes.
_CONTENTS = f"""
    SELECT 'pg_largeobject', 'pg_largeobject ' || loid, 'content', NULL, NULL,
        'content of large object ' || loid,
        json_build_object('written', count(*) || ' pages, ' || ({BORN}))::text
    FROM pg_largeobject GROUP BY loid
"""
_NOW = """
    SELECT format('%L::xid',
        (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::text)
"""
_COLUMNS = """
    SELECT relname::text, attname::text,
        atttypid = 'oid'::regtype AND attname ~ 'owner$|^datdba$|^defaclrole$'
    FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = 'pg_catalog'::regnamespace AND relname = ANY (%s) AND attnum > 0
        AND NOT attisdropped AND has_column_privilege(attrelid, attnum, 'SELECT')
    ORDER BY attrelid, attnum
"""
