"""The SQL of our triggers: each writes what changed into one table, the journal.

A row of the journal is ``(seq, kind, tab, thread, old_row, new_row)``. ``seq`` grows: it is
``UUID_SHORT()``, because an AUTO_INCREMENT column would make concurrent transactions of the
application wait for each other. Kinds: ``i`` inserted, ``u`` updated, ``d`` deleted; and, since
MySQL fires no trigger for what a foreign key does to its child rows, ``b`` a child row before that
and ``a`` a child row after it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs

from venomqa_hyp.adapters.mysql.catalog import PREFIX, Catalog, ForeignKey, Trigger
from venomqa_hyp.adapters.mysql.driver import quoted
from venomqa_hyp.adapters.mysql.rows import Layout
from venomqa_hyp.errors import DefinitionError

Kind = Literal["i", "u", "d", "b", "a"]
_COLUMNS = "(seq, kind, tab, thread, old_row, new_row)"
_MOVING = ("CASCADE", "SET NULL")
TRIAL = "trial"
#: How the body of each trigger begins while the journal is installed.
LISTENS = "IF @venomqa_quiet IS NULL THEN"


def journal_table(journal: str) -> str:
    """Return the statement that creates the journal in the database ``journal``."""
    return (
        f"CREATE TABLE {quoted(journal, 'entries')} (seq BIGINT UNSIGNED PRIMARY KEY,"
        " kind CHAR(1) NOT NULL, tab INT NOT NULL, thread BIGINT UNSIGNED NOT NULL,"
        " old_row LONGTEXT, new_row LONGTEXT) ENGINE=InnoDB CHARACTER SET ascii COLLATE ascii_bin"
    )


def quiet(trigger: Trigger, database: str) -> str:
    """Return the statement that creates a trigger of the application, silent on our connection."""
    return _create(trigger, database, f"{LISTENS} {trigger.body}\n; END IF")


def original(trigger: Trigger, database: str) -> str:
    """Return the statement that creates a trigger of the application as it was."""
    if trigger.head:
        return f"{trigger.head} {trigger.body}"
    return _create(trigger, database, trigger.body)


def trial(trigger: Trigger, journal: str) -> str:
    """Return the statement that creates a trigger of the same definer, in the journal."""
    harmless = attrs.evolve(trigger, name=TRIAL, table="entries")
    return _create(harmless, journal, "SET @venomqa_trial = 1")


def _create(trigger: Trigger, database: str, body: str) -> str:
    user, _, host = trigger.definer.rpartition("@")
    return (
        f"CREATE DEFINER = {quoted(user)}@{quoted(host)}"
        f" TRIGGER {quoted(database, trigger.name)} {trigger.timing} {trigger.event}"
        f" ON {quoted(database, trigger.table)} FOR EACH ROW {body}"
    )


@attrs.frozen
class _Chain:
    """Foreign keys that MySQL follows one after the other, from a row that changes.

    :ivar deleted: for the first table and each further one, whether its row is deleted.
    """

    keys: tuple[ForeignKey, ...]
    deleted: tuple[bool, ...]


@attrs.frozen
class Writer:
    """Makes the triggers of the tables of a database.

    :ivar numbers: name of a table -> its number in the journal.
    """

    catalog: Catalog
    journal: str
    numbers: Mapping[str, int]

    def triggers(self) -> Iterator[str]:
        """Return the statements that create them.

        :raises DefinitionError: what a foreign key does to its child rows cannot be written down.
        """
        for table, number in self.numbers.items():
            layout = self.catalog.layouts[table]
            old, new = layout.written("OLD"), layout.written_key("NEW")
            yield self._trigger(
                layout, number, "AFTER", "INSERT", self._entry("i", number, "NULL", new)
            )
            yield self._trigger(
                layout, number, "AFTER", "DELETE", self._entry("d", number, old, "NULL")
            )
            on_delete = list(self._followed(layout, deleted=True, row="OLD", kind="b"))
            if on_delete:
                yield self._trigger(layout, number, "BEFORE", "DELETE", *on_delete)
            after = list(self._followed(layout, deleted=False, row="NEW", kind="a"))
            changed = _unless_ignored(layout, self._entry("u", number, old, new))
            yield self._trigger(layout, number, "AFTER", "UPDATE", changed, *after)
            if after:
                before = self._followed(layout, deleted=False, row="OLD", kind="b")
                yield self._trigger(layout, number, "BEFORE", "UPDATE", *before)

    def _trigger(self, layout: Layout, number: int, timing: str, event: str, *body: str) -> str:
        name = quoted(layout.database, f"{PREFIX}{number}_{timing}_{event}".lower())
        return (
            f"CREATE TRIGGER {name} {timing} {event} ON {layout.sql} FOR EACH ROW"
            f" {LISTENS} {'; '.join(body)}; END IF"
        )

    def _entry(self, kind: Kind, number: int, old: str, new: str) -> str:
        return (
            f"INSERT INTO {quoted(self.journal, 'entries')} {_COLUMNS}"
            f" VALUES (UUID_SHORT(), '{kind}', {number}, CONNECTION_ID(), {old}, {new})"
        )

    def _followed(
        self, layout: Layout, *, deleted: bool, row: Literal["OLD", "NEW"], kind: Kind
    ) -> Iterator[str]:
        """Write down the child rows that go, or change, with a row of the table."""
        chains = [_Chain((), (True,))] if deleted and self._own_children(layout.name) else []
        chains += self._chains(_Chain((), (deleted,)), layout.name)
        for chain in chains:
            statement = self._capture(layout, chain, row, kind)
            if deleted:
                yield statement
            else:
                changed = " OR ".join(
                    f"{column.written('OLD')} <> {column.written('NEW')}"
                    for column in layout.columns
                    if column.name in chain.keys[0].referenced
                )
                # Of generated columns it is not known whether they change.
                yield f"IF {changed or 'TRUE'} THEN {statement}; END IF"

    def _chains(self, chain: _Chain, table: str) -> Iterator[_Chain]:
        is_deleted = chain.deleted[-1]
        passed = {key.child: gone for key, gone in zip(chain.keys, chain.deleted[1:], strict=True)}
        for key in self.catalog.keys:
            if key.parent != table or (is_deleted and key in self._own_children(table)):
                continue
            rule = key.on_delete if is_deleted else key.on_update
            if rule not in _MOVING or not (is_deleted or self._reaches(chain, key)):
                continue
            goes = is_deleted and rule == "CASCADE"
            start = chain.keys[0].parent if chain.keys else table
            if goes and key.child in {start, *(name for name, gone in passed.items() if gone)}:
                raise _circle(chain, key)
            if not goes and (passed.get(key.child) is False or key.child == table != start):
                continue  # MySQL refuses to change one table twice in such a way
            if not self.catalog.layouts[key.child].key:
                raise _no_key(key)
            longer = _Chain((*chain.keys, key), (*chain.deleted, goes))
            yield longer
            yield from self._chains(longer, key.child)

    @staticmethod
    def _reaches(chain: _Chain, key: ForeignKey) -> bool:
        """Tell whether the columns that the chain changed last are what the key refers to."""
        return not chain.keys or bool({*chain.keys[-1].columns} & {*key.referenced})

    def _own_children(self, table: str) -> list[ForeignKey]:
        """Return the keys by which rows of a table are deleted with others of the same table."""
        own = [
            key
            for key in self.catalog.keys
            if key.child == key.parent == table and key.on_delete == "CASCADE"
        ]
        if own and not self.catalog.layouts[table].key:
            raise _no_key(own[0])
        return own

    def _capture(self, layout: Layout, chain: _Chain, row: str, kind: Kind) -> str:
        """Return the statement that writes down the rows at the end of a chain.

        Each step is a table of its own in WITH, since MariaDB does not find OLD in what is
        referred to twice.
        """
        steps, source = [], f"FROM {layout.sql} x WHERE {self._is_row(layout, row)}"
        for number, deleted in enumerate(chain.deleted):
            key = chain.keys[number - 1] if number else None
            table = key.child if key else layout.name
            if key:
                on = _matches(key, f"s{number - 1}")
                source = f"FROM {self.catalog.layouts[table].sql} x JOIN s{number - 1} ON {on}"
            wanted = self._wanted(table)
            step = f"SELECT {wanted} {source}"
            for own in self._own_children(table) if deleted else ():
                children = self.catalog.layouts[table].sql
                on = _matches(own, f"s{number}")
                step += f" UNION SELECT {wanted} FROM {children} x JOIN s{number} ON {on}"
            steps.append(f"s{number} AS ({step})")
        last = self.catalog.layouts[chain.keys[-1].child if chain.keys else layout.name]
        same = " AND ".join(
            f"x.{quoted(column.name)} = s{len(chain.keys)}.{quoted(column.name)}"
            for column in last.key_columns
        )
        rows = (last.written("x"), "NULL") if kind == "b" else ("NULL", last.written_key("x"))
        return (
            f"INSERT INTO {quoted(self.journal, 'entries')} {_COLUMNS}"
            f" WITH RECURSIVE {', '.join(steps)} SELECT UUID_SHORT(), '{kind}',"
            f" {self.numbers[last.name]}, CONNECTION_ID(), {', '.join(rows)}"
            f" FROM s{len(chain.keys)} STRAIGHT_JOIN {last.sql} x ON {same}"
        )

    def _wanted(self, table: str) -> str:
        """Return the columns of a table that its children or its key need."""
        names = {column.name for column in self.catalog.layouts[table].key_columns}
        for key in self.catalog.keys:
            if key.parent == table:
                names.update(key.referenced)
        return ", ".join(f"x.{quoted(name)}" for name in sorted(names))

    def _is_row(self, layout: Layout, row: str) -> str:
        names = [column.name for column in layout.key_columns]
        if not names:
            names = sorted(
                {n for k in self.catalog.keys if k.parent == layout.name for n in k.referenced}
            )
        return " AND ".join(f"x.{quoted(name)} = {row}.{quoted(name)}" for name in names)


def _unless_ignored(layout: Layout, entry: str) -> str:
    """Return the statement that notes an update, unless it would have changed the key and did not.

    MariaDB fires the trigger also for a row that UPDATE IGNORE has left alone since another row has
    the new key. The note would say that this other row was not there before.
    """
    if not layout.key:
        return entry
    old, new, now = (layout.written_key(row) for row in ("OLD", "NEW", "x"))
    same = " AND ".join(
        f"x.{quoted(column.name)} = OLD.{quoted(column.name)}" for column in layout.key_columns
    )
    still = f"EXISTS (SELECT 1 FROM {layout.sql} x WHERE {same} AND {now} = {old})"
    return f"IF NOT ({old} <> {new} AND {still}) THEN {entry}; END IF"


def _matches(key: ForeignKey, parent: str) -> str:
    pairs: Sequence[tuple[str, str]] = list(zip(key.columns, key.referenced, strict=True))
    return " AND ".join(f"x.{quoted(one)} = {parent}.{quoted(other)}" for one, other in pairs)


def _circle(chain: _Chain, key: ForeignKey) -> DefinitionError:
    tables = [*(step.parent for step in chain.keys), key.parent, key.child]
    return DefinitionError(
        f"MySQL: foreign keys delete rows in a circle: {' -> '.join(tables)}. MySQL fires no "
        "trigger for that, and how far it goes cannot be followed. For the test database, drop "
        f"one of them: ALTER TABLE {key.child} DROP FOREIGN KEY {key.name}"
    )


def _no_key(key: ForeignKey) -> DefinitionError:
    return DefinitionError(
        f"MySQL: foreign key {key.name!r} changes rows of {key.child!r} when {key.parent!r} "
        f"changes. MySQL fires no trigger for that, and {key.child!r} has no primary key by which "
        f"its rows could be found. ALTER TABLE {key.child} ADD COLUMN venomqa_id BIGINT "
        "AUTO_INCREMENT PRIMARY KEY, for the test database."
    )
