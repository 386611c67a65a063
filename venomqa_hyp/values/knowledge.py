"""What is known of atoms: which of them a step made anew.

Nothing is decided by how a value looks. Where the same thing is done twice from the same state, an
atom that came out differently is *fresh*, and so are from then on the atoms that the same *maker*
leaves at the same place. An atom is never fresh that was there before the step, was in the initial
state, was given as an argument, or came out the same twice: it is content.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import attrs

from venomqa_hyp.errors import DigestError
from venomqa_hyp.values.atoms import HASH, Name, is_written_time, reads_clock
from venomqa_hyp.values.chance import are_shuffled, pattern_of, shapes_in
from venomqa_hyp.values.comparison import ABSENT, Difference, differences
from venomqa_hyp.values.digest import canonical_text, hash_text
from venomqa_hyp.values.identity import CLOCK_READING, Named, identify, is_signature, is_stamp
from venomqa_hyp.values.trees import HELD, KEY, Hole, Place, Reader, Unit, place_text

#: Part of a state -> (its digest, what it shows).
Shown = Mapping[str, tuple[str, Any]]
#: Parts in which a clock is an id: it names the version that a path holds.
HOLDING = ("context", "api", "result")
#: What the atoms are that a maker leaves at a place; the later of two where both were seen.
_CONSTANT, _CLOCK, _ID = range(3)
_KEPT = 512
_ATTEMPTS = 20


@attrs.frozen(eq=False)
class Made:
    """What one execution left behind.

    :ivar maker: what was done, as far as it decides what is made anew.
    :ivar label: all that is known of it but for fresh atoms; part of a hash it left.
    :ivar before: part of the state it began in -> its digest.
    :ivar known: the atoms in that state, and in its arguments.
    :ivar after: the state it led to, with what it returned as ``"result"``.
    :ivar since: when it began, in seconds since 1970.
    :ivar until: when it was through.
    """

    maker: str
    label: str
    before: Mapping[str, str]
    known: frozenset[Name]
    after: Shown
    since: float
    until: float


@attrs.frozen(eq=False)
class _Read:
    units: Sequence[Unit]
    names: frozenset[Name]


class Knowledge:
    """What was learned about the atoms of one World.

    :param erased: places that count for nothing, as users name them.
    :ivar fresh: the atoms that steps made -> what else is known of each.
    :ivar version: changes when known states may have another identity than they had.
    """

    def __init__(self, erased: Iterable[str] = ()) -> None:
        self.fresh: dict[Name, str] = {}
        self.version = 0
        self._constant: frozenset[Name] = frozenset()
        self._proven: dict[tuple[str, Place], int] = {}
        self._steady: dict[Name, Place] = {}
        self._dated: dict[Name, Place] = {}
        self._derived: set[Place] = set()
        self._reader = Reader(erased=frozenset(erased))
        self._parts: dict[tuple[str, str], _Read] = {}

    @property
    def volatile(self) -> tuple[str, ...]:
        """The places whose atoms are made anew, sorted."""
        places = {
            place_text(place)
            for (_, place), kind in self._proven.items()
            if kind and place[0] != "result"
        }
        return tuple(sorted(places | self._reader.erased))

    def begin(self, shown: Shown) -> None:
        """Note an initial state: nothing in it is fresh."""
        self._constant |= self._names(shown)

    def begin_again(self, first: Shown, second: Shown) -> bool:
        """Note another initial state; return whether both are the same but for their atoms.

        What came out differently is fresh: it was made when the World was.
        """
        before = self._constant
        for _ in range(_ATTEMPTS):
            names = self._names(first), self._names(second)
            varied = (names[0] ^ names[1]) - self.fresh.keys()
            self._constant = (before | names[1]) - varied
            self.fresh.update(dict.fromkeys(varied, ""))
            if self.identify(first).identity == self.identify(second).identity:
                self.version += bool(varied)
                return True
            learned = self._learn_coarse([first, second])
            for name in varied:
                del self.fresh[name]
            if not learned:
                break
        self._constant = before | self._names(second)
        return False

    def identify(self, shown: Shown, held: Iterable[object] = (), *, links: bool = True) -> Named:
        """Return what identifies a state, and its fresh ids by number.

        Where nothing in a part is fresh its digest identifies it, whatever is learned later.

        :param held: values that a path holds besides.
        :param links: whether a clock that a path holds is an id.
        """
        plain: list[str] = []
        units: list[Unit] = []
        reads = self._reads(shown)
        for part, (digest, _) in shown.items():
            read = reads[part]
            if self._reader.changes(part) or not read.names.isdisjoint(self.fresh):
                units += read.units
            else:
                plain.append(f"{part}={digest}")
        if not units:
            return Named(hash_text(";".join(plain)), ())
        clocks: set[Name] = set()
        if links:
            holding = [unit for part in HOLDING if part in shown for unit in reads[part].units]
            clocks = set(self._clocks([*holding, *self._units_held(held)]))
        named = identify(units, self.fresh, clocks)
        return Named(hash_text(";".join([*plain, named.identity])), named.names)

    def atoms(self, shown: Shown) -> frozenset[Name]:
        """Return everything in a state that may be fresh."""
        return self._names(shown) - self._constant

    def atoms_in(self, value: object) -> frozenset[Name]:
        """Return everything in a value that may be an atom."""
        return frozenset(hole.name for hole in self.unit(value).atoms())

    def _units_held(self, values: Iterable[object]) -> Iterator[Unit]:
        for value in values:
            with suppress(DigestError):  # then nothing tells it from others
                yield self.unit(value)

    def _clocks(self, units: Iterable[Unit]) -> Iterator[Name]:
        """Yield the clocks that name the version of something."""
        for unit in units:
            for hole in unit.atoms():
                if self.fresh.get(hole.name) == CLOCK_READING and not is_stamp(hole, self.fresh):
                    yield hole.name

    def holds_fresh(self, value: object) -> bool:
        """Return whether there is a fresh atom in a value."""
        if not self.fresh:
            return False
        try:
            return not self.atoms_in(value).isdisjoint(self.fresh)
        except DigestError:
            return False

    def unit(self, value: object) -> Unit:
        """Return a value taken apart."""
        return self._reader.unit(value, (HELD,))

    def note(self, made: Made) -> bool:
        """Take over what an execution left; return whether it has to be done twice.

        It has where it leaves atoms in places of which nobody knows yet whether they are made anew.
        """
        unknown = False
        self._note_same(made)
        for hole in self._new(made):
            kind = self._proven.get((made.maker, hole.place))
            unknown |= kind is None
            if kind in (_CLOCK, _ID):
                self._add(hole, made, kind)
        return unknown

    def compare(self, first: Made, second: Made) -> list[Difference]:
        """Learn from two executions of the same thing; return what atoms cannot explain."""
        if self.explains([first, second]):
            return []
        return list(self.differing(first.after, second.after))

    def explains(self, made: Sequence[Made]) -> bool:
        """Learn from executions of the same thing; return whether atoms explain what differs.

        What is another small number, or another word, each of many times is made at random.
        """
        for _ in range(_ATTEMPTS):
            for other in made[1:]:
                self._learn(made[0], other)
            # Whether two clocks were read in the same second says nothing.
            if len({self.identify(item.after, links=False).identity for item in made}) == 1:
                return True
            sampled = len(made) > 2
            derived = [self._learn_derived(made[0], item, sampled=sampled) for item in made[1:]]
            if not any(derived) and not self._learn_coarse([item.after for item in made]):
                break
        return False

    def differing(self, one: Shown, other: Shown) -> Iterator[Difference]:
        """Yield where two states differ, but for fresh atoms."""
        for part in {**one, **other}:
            (first, data), (second, other_data) = (
                one.get(part, ("", None)),
                other.get(part, ("", None)),
            )
            if first != second:
                yield from differences(data, other_data, (part,), self._same)

    def _same(self, one: object, other: object, where: Place) -> bool:
        if canonical_text(one) == canonical_text(other):
            return True
        units = [self._reader.unit(item, where) for item in (one, other)]
        first, second = (identify([unit], self.fresh).identity for unit in units)
        return first == second

    def _names(self, shown: Shown) -> frozenset[Name]:
        return frozenset().union(*(read.names for read in self._reads(shown).values()))

    def _reads(self, shown: Shown) -> Mapping[str, _Read]:
        """Return each part taken apart, all of them with the same knowledge of whole chunks."""
        while True:
            known = len(self._reader.whole)
            reads = {part: self._read(part, shown) for part in shown}
            if len(self._reader.whole) == known:
                return reads
            self._parts.clear()

    def _read(self, part: str, shown: Shown) -> _Read:
        digest, data = shown[part]
        known = self._parts.get((part, digest))
        if known is None:
            units = self._reader.units(part, data)
            names = frozenset(hole.name for unit in units for hole in unit.atoms())
            if len(self._parts) >= _KEPT:
                self._parts.pop(next(iter(self._parts)))
            known = self._parts[part, digest] = _Read(units, names)
        return known

    def _new(self, made: Made) -> Iterator[Hole]:
        """Yield the atoms that were not there before, and that nobody gave."""
        reads = self._reads(made.after)
        for part, (digest, _) in made.after.items():
            if digest == made.before.get(part):
                continue
            read = reads[part]
            new = read.names - made.known - self._constant
            if new:
                for unit in read.units:
                    yield from (hole for hole in unit.atoms() if hole.name in new)

    def _learn(self, first: Made, second: Made) -> None:
        holes = [(made, list(self._new(made))) for made in (first, second)]
        names = [{hole.name for hole in found} for _, found in holes]
        common = names[0] & names[1]
        for (made, found), others in zip(holes, reversed(names), strict=True):
            for hole in found:
                key = made.maker, hole.place
                before = self._proven.get(key, _CONSTANT)
                kind = max(before, self._kind(hole, made, varies=hole.name not in others))
                if kind > before and key in self._proven:
                    self.version += 1
                    self._derive(hole.place)
                    kind = _CLOCK
                self._proven[key] = kind
                if kind == _CONSTANT:
                    self._steady[hole.name] = hole.place
        for made, found in holes:
            for hole in found:
                kind = self._proven[made.maker, hole.place]
                if kind != _CONSTANT and self._kind(hole, made, varies=hole.name not in common):
                    self._add(hole, made, kind)

    def _kind(self, hole: Hole, made: Made, *, varies: bool) -> int:
        if self.fresh.get(hole.name) == CLOCK_READING:
            return _CLOCK  # also where another reading is compared with it much later
        if hole.place in self._derived:
            return _CLOCK
        return _kind(hole, made, varies=varies)

    def _derive(self, place: Place) -> None:
        """Take what is left at a place for a clock: it was the same twice, and is not now.

        A signature with a time in it is one: which of them are equal depends on the second.
        """
        self._derived.add(place)
        known = {**self._steady, **self._dated}
        names = [name for name, left_at in known.items() if left_at == place]
        self.fresh.update(dict.fromkeys(names, CLOCK_READING))

    def _is_derived(self, where: Place) -> bool:
        """Return whether what stands at a place, or in a text there, is a clock by what it did."""
        return any(place[: len(where)] == where for place in self._derived)

    def _note_same(self, made: Made) -> None:
        """Note where a step left the same signature as an earlier one: it was the same second."""
        if not self._dated:
            return
        after = self._reads(made.after)
        for part, (digest, _) in made.after.items():
            before = self._parts.get((part, made.before.get(part, "")))
            if before is None or digest == made.before[part]:
                continue
            known = set(map(id, before.units))
            for hole in (
                hole for unit in after[part].units if id(unit) not in known for hole in unit.atoms()
            ):
                is_proven = self._proven.get((made.maker, hole.place)) == _ID
                if is_proven and hole.name in self._dated and hole.name in made.known:
                    self._derive(hole.place)
                    self.version += 1

    def _is_dated(self, found: Difference) -> bool:
        """Return whether both values may be signed together with the second they were made in."""
        units = map(self.unit, (found.first, found.second))
        return all(any(is_signature(hole) for hole in unit.atoms()) for unit in units)

    def _learn_derived(self, first: Made, second: Made, *, sampled: bool) -> bool:
        """Find what differs, and came out the same before; return whether that is new.

        :param sampled: whether many executions were compared; one of them may have come out the
            same as what another step left.
        """
        learned = False
        for found in self.differing(first.after, second.after):
            if ABSENT in (found.first, found.second):
                continue
            if pattern_of(found.first) != pattern_of(found.second):
                continue
            names = self.atoms_in(found.first) ^ self.atoms_in(found.second)
            is_derived = sampled or self._is_derived(found.where) or self._is_dated(found)
            if not is_derived and names.isdisjoint(self._steady):
                continue
            for name in names - self._constant:
                if self.fresh.get(name) == CLOCK_READING:
                    continue
                if place := self._steady.get(name) or self._dated.get(name):
                    self._derive(place)
                self.fresh[name] = CLOCK_READING
                learned = True
        self.version += learned
        return learned

    def _add(self, hole: Hole, made: Made, kind: int) -> None:
        label = made.label if hole.name[0] == HASH else CLOCK_READING if kind == _CLOCK else ""
        if kind == _ID and is_signature(hole):
            self._dated[hole.name] = hole.place
        if hole.place in self._derived and self.fresh.get(hole.name) == "":
            self.version += 1
            del self.fresh[hole.name]
        self.fresh.setdefault(hole.name, label)

    def _forget_below(self, place: Place) -> None:
        """Forget what stands under keys that turned out to be atoms: it has no place any more."""
        if place[-1] == KEY:
            above = place[:-1]
            for known in [key for key in self._proven if key[1][: len(above)] == above]:
                del self._proven[known]

    def _learn_coarse(self, shown: Sequence[Shown]) -> bool:
        """Find what differs as chance makes it differ; return whether that is new."""
        values: dict[Place, list[object]] = {}
        for other in shown[1:]:
            for found in self.differing(shown[0], other):
                values.setdefault(found.where, [found.first]).append(found.second)
        learned = False
        for place, found_there in values.items():
            shapes = shapes_in(found_there)
            if are_shuffled(found_there):
                learned |= self._reader.read_unordered(place)
            elif shapes and self._reader.read_coarsely(place, shapes):
                learned = True
                self._forget_below(place)
        if learned:
            self._parts.clear()
            self.version += 1
        return learned


def _kind(hole: Hole, made: Made, *, varies: bool) -> int:
    """Return what an atom is, by what it was in another execution and by the time of this one."""
    # A clock that is held, as in a test, is content of the World.
    near = made.since < made.until and reads_clock(hole.name, made.since, made.until)
    if near or (varies and is_written_time(hole.name, hole.spelled)):
        return _CLOCK
    return _ID if varies else _CONSTANT
