"""Values as trees, as deep as they can be read: JSON within a text, the claims of a JWT.

A tree is read into *units* whose order has no meaning: the rows of a table, the members of a set,
the entries under keys that are atoms. A unit is text with *holes*. A hole is an atom, or a bag of
further units. Everything else is text: two units with equal text are equal but for their atoms.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

import attrs

from venomqa_hyp.values.atoms import ID, MEASURE, Atom, Name, Parts, atom_of, split
from venomqa_hyp.values.chunks import NUMBER, Shape, chunks, split_coarsely, split_wholly
from venomqa_hyp.values.digest import canonical_text

#: Where a value stands: the keys that lead to it, and the name of a column where rows are held as
#: ``{"columns": ..., "rows": ...}``. ``*`` stands for an element of a list, and for a key that has
#: atoms; of several atoms in one text all but the first have their number at the end.
Place = tuple[str, ...]

ANY, KEY = "*", "key"
#: Where a value stands that a path holds.
HELD = "held"
#: Rows of a table that holds a difference from a base: those added, and those that are gone.
ROWS = ("rows", "removed")
_KEPT = 20_000


@attrs.frozen(eq=False)
class Hole:
    """An atom in a unit.

    :ivar spelled: as it stands there.
    :ivar beside: the atoms of the text in which it stands.
    """

    name: Name
    spelled: str
    place: Place
    beside: tuple[Name, ...] = ()


@attrs.frozen(eq=False)
class Bag:
    """Units whose order has no meaning, within a unit."""

    units: tuple["Unit", ...]


@attrs.frozen(eq=False)
class Unit:
    """Text with holes.

    :ivar pieces: the text before, between and after the holes.
    """

    pieces: tuple[str, ...]
    holes: tuple[Hole | Bag, ...]

    def atoms(self) -> Iterator[Hole]:
        """Yield the atoms, those in bags included."""
        for hole in self.holes:
            if isinstance(hole, Bag):
                for unit in hole.units:
                    yield from unit.atoms()
            else:
                yield hole


@attrs.define(eq=False)
class Reader:
    """Takes values apart.

    :ivar coarse: places where whole chunks of a text, or small numbers, are atoms: their shapes.
    :ivar whole: chunks that stood there, and are atoms wherever else they stand.
    :ivar unordered: places of lists whose order says nothing.
    :ivar erased: places that count for nothing, joined by dots.
    """

    coarse: dict[Place, set[Shape]] = attrs.field(factory=dict)
    erased: frozenset[str] = frozenset()
    whole: set[str] = attrs.field(factory=set, init=False)
    unordered: set[Place] = attrs.field(factory=set, init=False)
    _known: dict[tuple[Place, str], Unit] = attrs.field(factory=dict, init=False)

    def units(self, part: str, data: object) -> list[Unit]:
        """Return the units of one part of a state."""
        units: list[Unit] = []
        self._read_top(data, (part,), units)
        return units

    def unit(self, value: object, at: Place) -> Unit:
        """Return a value as one unit."""
        found = _Builder()
        self._read(value, at, found)
        return found.unit()

    def read_coarsely(self, place: Place, shapes: Iterable[Shape]) -> bool:
        """Take what has these shapes for atoms at a place; return whether that is new."""
        known = self.coarse.setdefault(place, set())
        added = set(shapes) - known
        known |= added
        if added:
            self._known.clear()
        return bool(added)

    def read_unordered(self, place: Place) -> bool:
        """Take no notice of the order of a list at a place; return whether that is new."""
        if place in self.unordered:
            return False
        self.unordered.add(place)
        self._known.clear()
        return True

    def changes(self, part: str) -> bool:
        """Return whether a part is not read as it is shown."""
        dotted = f"{part}."
        return any(place[0] == part for place in (*self.coarse, *self.unordered)) or any(
            place == part or place.startswith(dotted) for place in self.erased
        )

    def _read_top(self, data: Any, at: Place, units: list[Unit]) -> None:
        """Read what stands in one place only, so that its units need no link to it."""
        if is_table(data):
            columns = data["columns"]
            for part in ROWS:
                where = (*at, part)
                units += [
                    self._kept(where, row, partial(self._read_row, columns, row, at))
                    for row in data.get(part, ())
                ]
            rest = {key: item for key, item in data.items() if key not in ROWS}
            units.append(_plain(f"{at!r}{canonical_text(rest)}"))
        elif isinstance(data, Mapping):
            units.append(_plain(f"{at!r}{type(data).__name__}"))
            for key, item in data.items():
                if isinstance(item, Mapping) and not self._varies(key, at):
                    self._read_top(item, (*at, str(key)), units)
                else:
                    entry = {key: item}
                    units.append(self._kept(at, entry, partial(self._read, entry, at)))
        else:
            units.append(self._kept(at, data, partial(self._read, data, at)))

    def _kept(self, where: Place, value: object, read: Callable[["_Builder"], None]) -> Unit:
        """Return a unit, as it was read before if it was."""
        key = where, canonical_text(value)
        known = self._known.get(key)
        if known is None:
            found = _Builder()
            found.text(repr(where))
            read(found)
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[key] = found.unit()
        return known

    def _read_row(
        self, columns: Sequence[str], row: Sequence[object], at: Place, found: "_Builder"
    ) -> None:
        for column, value in zip(columns, row, strict=True):
            self._read(value, (*at, column), found)
            found.text(",")

    def _read(self, value: Any, at: Place, found: "_Builder") -> None:
        if self.erased and place_text(at) in self.erased:
            found.text("\1")
        elif type(value) is str:
            self._read_text(value, at, found)
        elif (atom := self._atom(value, at)) is not None:
            found.text(f"{type(value).__name__} ")
            found.hole(atom, at)
        elif is_table(value):
            found.text(f"table {canonical_text(tuple(value['columns']))}")
            for part in ROWS:
                rows = [
                    dict(zip(value["columns"], row, strict=True)) for row in value.get(part, ())
                ]
                found.bag([self.unit(row, at) for row in rows])
        elif isinstance(value, Mapping):
            self._read_mapping(value, at, found)
        elif isinstance(value, AbstractSet) or (at in self.unordered and is_list(value)):
            found.text(f"{type(value).__name__} ")
            found.bag([self.unit(item, (*at, ANY)) for item in value])
        elif is_list(value):
            found.text(f"{type(value).__name__}[")
            for item in value:
                self._read(item, (*at, ANY), found)
                found.text(",")
            found.text("]")
        else:
            found.text(canonical_text(value))

    def _read_mapping(self, value: Mapping[Any, Any], at: Place, found: "_Builder") -> None:
        varying: list[Unit] = []
        found.text(f"{type(value).__name__}{{")
        keys = [(canonical_text(key), key) for key in value]
        for text, key in sorted(keys) if len(keys) > 1 else keys:
            if self._varies(key, at):
                entry = _Builder()
                self._read(key, (*at, KEY), entry)
                entry.text(":")
                self._read(value[key], (*at, ANY), entry)
                varying.append(entry.unit())
            else:
                found.text(f"{text}:")
                self._read(value[key], (*at, str(key)), found)
                found.text(",")
        if varying:
            found.bag(varying)
        found.text("}")

    def _varies(self, key: object, at: Place) -> bool:
        """Return whether a key may have atoms."""
        if type(key) is tuple:
            return any(self._varies(item, at) for item in key)
        if type(key) is not str:
            return self._atom(key, (*at, KEY)) is not None
        return len(key) > 5 and any(
            not isinstance(part, str) for part in self._parts(key, (*at, KEY))
        )

    def _read_text(self, text: str, at: Place, found: "_Builder") -> None:
        if (content := json_in(text)) is not None:
            found.text("json")
            self._read(content, at, found)
            return
        found.text("'")
        number, since = 0, found.mark()
        for part in self._parts(text, at):
            if isinstance(part, str):
                found.text(repr(part)[1:-1])
                continue
            place = at if number == 0 else (*at, f"#{number}")
            number += 1
            if isinstance(part, Atom):
                found.text(part.prefix)
                found.hole(part, place)
            else:
                found.text("base64 ")
                self._read(part.content, place, found)
        found.join(since)
        found.text("'")

    def _parts(self, text: str, at: Place) -> Parts:
        if (shapes := self.coarse.get(at)) is not None:
            parts = split_coarsely(text, frozenset(shapes))
            for part in parts:
                if isinstance(part, Atom) and part not in split(part.spelled):
                    self._note_whole(part.spelled)
            return parts
        if self.whole and (whole := self.whole.intersection(chunks(text))):
            return split_wholly(text, frozenset(whole))
        return split(text) if len(text) > 5 else (text,)

    def _atom(self, value: object, at: Place) -> Atom | None:
        """Return the atom that a value which is no text may be."""
        atom = atom_of(value)
        if atom is not None or type(value) not in (int, float):
            return atom
        text = str(value)
        if NUMBER in self.coarse.get(at, ()):
            self._note_whole(text)
            return Atom(f"{MEASURE if type(value) is float else ID}{text}", text)
        return Atom(ID + text, text) if at[0] == HELD and text in self.whole else None

    def _note_whole(self, spelled: str) -> None:
        """Note an atom that is read in another way elsewhere."""
        if spelled not in self.whole:
            self.whole.add(spelled)
            self._known.clear()


class _Builder:
    """Puts a unit together."""

    __slots__ = ("_holes", "_pieces", "_text")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._pieces: list[str] = []
        self._holes: list[Hole | Bag] = []

    def text(self, text: str) -> None:
        self._text.append(text)

    def hole(self, atom: Atom, place: Place) -> None:
        self._close(Hole(atom.name, atom.spelled, place))

    def bag(self, units: Sequence[Unit]) -> None:
        self._close(Bag(tuple(units)))

    def mark(self) -> int:
        """Return where a text begins."""
        return len(self._holes)

    def join(self, since: int) -> None:
        """Note of the atoms since a mark that they stand in one text."""
        if len(self._holes) - since < 2:
            return
        beside = tuple(hole.name for hole in self._holes[since:] if isinstance(hole, Hole))
        for at, hole in enumerate(self._holes[since:], since):
            if isinstance(hole, Hole):
                self._holes[at] = attrs.evolve(hole, beside=beside)

    def unit(self) -> Unit:
        return Unit((*self._pieces, "".join(self._text)), tuple(self._holes))

    def _close(self, hole: Hole | Bag) -> None:
        self._pieces.append("".join(self._text))
        self._text.clear()
        self._holes.append(hole)


def is_table(data: object) -> bool:
    """Return whether rows are held, as the SQL adapters show them."""
    return isinstance(data, Mapping) and "columns" in data and "rows" in data


def is_list(data: object) -> bool:
    """Return whether the order of elements has a meaning."""
    return isinstance(data, Sequence) and not isinstance(data, (str, bytes, bytearray))


def place_text(place: Place) -> str:
    """Return what users call a place: ``db.orders.data.at``."""
    shown = [step for step in place if not step.startswith("#")]
    if shown[1:2] == ["tables"]:
        del shown[1]
    return ".".join(shown)


def _plain(text: str) -> Unit:
    return Unit((text,), ())


def json_in(text: str) -> Any:
    """Return the JSON object or array that a text is; ``None`` for other texts."""
    if text[:1] not in ("{", "[") or text[-1:] not in ("}", "]"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
