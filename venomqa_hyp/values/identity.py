"""What identifies content apart from its fresh atoms, and those atoms by number.

A clock is left out, and an id is replaced by a number. Numbers depend on what is said of an id (its
row, its place in a list, the ids beside it) and never on the id itself, so two executions of the
same steps get the same numbers. They are found by colour refinement: ids start alike, and are told
apart by the colours of what they stand with, until that separates no more of them (Weisfeiler and
Leman, 1968). Ids that it does not separate are numbered in the order in which they come: two
contents that are equal may then look different, and different ones never look equal.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

import attrs

from venomqa_hyp.values.atoms import CLOCK, Name, is_whole_second
from venomqa_hyp.values.digest import hash_text
from venomqa_hyp.values.trees import Bag, Hole, Unit

_HOLE, _LABEL, _BAG = "\0", "\2", "\3"  # no canonical text has them
#: What is known of a fresh atom that is no id: it is a clock, and says nothing about others.
CLOCK_READING = "\1"
_SPLITS = 20

#: Text, and the names that stand in its holes.
Line = tuple[str, tuple[Name, ...]]


@attrs.frozen
class Named:
    """What identifies some content apart from its fresh atoms, and those by number."""

    identity: str
    names: tuple[Name, ...]


def identify(
    units: Iterable[Unit], fresh: Mapping[Name, str], held: Collection[Name] = frozenset()
) -> Named:
    """Return what identifies some units.

    :param fresh: the atoms that a step made -> what stands for each in place of a number, if
        something does: :data:`CLOCK_READING` for a clock.
    :param held: clocks that a path holds: they name a version of something, and get numbers too.
    """
    lines = _Lines(fresh, held)
    for unit in units:
        lines.add(unit)
    if not any(names for _, names in lines.lines):
        return Named(hash_text(repr(sorted(text for text, _ in lines.lines))), ())
    numbers = _numbers(lines.lines)
    listed = sorted((text, *(numbers[name] for name in names)) for text, names in lines.lines)
    real = [name for name in numbers if not name.startswith(_BAG)]
    return Named(hash_text(repr(listed)), tuple(sorted(real, key=numbers.__getitem__)))


def text_of(unit: Unit, fresh: Mapping[Name, str], numbers: Mapping[Name, int]) -> str:
    """Return a unit as text: fresh atoms by number, and all others of them alike."""
    out = [unit.pieces[0]]
    for hole, piece in zip(unit.holes, unit.pieces[1:], strict=True):
        if isinstance(hole, Bag):
            out.append(repr(sorted(text_of(inner, fresh, numbers) for inner in hole.units)))
        elif hole.name in numbers:
            out.append(f"{_HOLE}{numbers[hole.name]}")
        elif hole.name in fresh:
            out.append(_LABEL + fresh[hole.name])
        else:
            out.append(hole.spelled)
        out.append(piece)
    return "".join(out)


def is_stamp(hole: Hole, fresh: Mapping[Name, str]) -> bool:
    """Return whether a clock only dates the text in which it stands, and is no id.

    As a JWT's ``iat``, in whole seconds: beside it is an id, or a signature that depends on it.
    Which of two tokens have the same second says nothing.
    """
    stamps = {name for name in hole.beside if name in fresh and is_whole_second(name)}
    others = {name for name in hole.beside if name in fresh and name[0] != CLOCK}
    return bool(stamps and others) and (hole.name in stamps or hole.name in others)


def is_signature(hole: Hole) -> bool:
    """Return whether an atom may follow from the rest of its text, which has a time in seconds.

    It is the only other atom there, as in a JWT without ``jti``. Two that were made in one second
    are then the same.
    """
    others = {name for name in hole.beside if not is_whole_second(name)}
    return others == {hole.name} and len(others) < len(set(hole.beside))


class _Lines:
    """Units as text with the names in their holes; those in bags are linked to what holds them."""

    def __init__(self, fresh: Mapping[Name, str], held: Collection[Name]) -> None:
        self._fresh = fresh
        self._held = held
        self._bags = 0
        self.lines: list[Line] = []

    def add(self, unit: Unit, link: tuple[Name, ...] = ()) -> None:
        text, names = self._text(unit)
        self.lines.append((text, (*link, *names)))

    def _text(self, unit: Unit) -> Line:
        if not unit.holes:
            return unit.pieces[0], ()
        out, names = [unit.pieces[0]], list[Name]()
        for hole, piece in zip(unit.holes, unit.pieces[1:], strict=True):
            if isinstance(hole, Bag):
                out.append(self._bag(hole, names))
            else:
                label = self._fresh.get(hole.name)
                if label is None:
                    out.append(hole.spelled)
                elif not label or (hole.name in self._held and not is_stamp(hole, self._fresh)):
                    out.append(_HOLE)
                    names.append(hole.name)
                else:
                    out.append(_LABEL + label)
            out.append(piece)
        return "".join(out), tuple(names)

    def _bag(self, bag: Bag, names: list[Name]) -> str:
        plain: list[str] = []
        varying: list[Line] = []
        for unit in bag.units:
            text, inner = self._text(unit)
            if inner:
                varying.append((text, inner))
            else:
                plain.append(text)
        if varying:
            self._bags += 1
            link = f"{_BAG}{self._bags}"
            names.append(link)
            self.lines += [(_BAG + text, (link, *inner)) for text, inner in varying]
        return f"{sorted(plain)}{len(varying)}{_BAG * bool(varying)}"


_Colours = dict[Name, int]


def _numbers(lines: list[Line]) -> _Colours:
    """Return name -> number, from 0."""
    ranks = {text: rank for rank, text in enumerate(sorted({text for text, _ in lines}))}
    looks = [(ranks[text], names) for text, names in lines if names]
    colours: _Colours = {name: 0 for _, names in looks for name in names}
    order = {name: number for number, name in enumerate(colours)}
    colours = _refined(looks, colours)
    for _ in range(_SPLITS):
        if not (tied := _smallest_tie(colours)):
            return colours
        colours = _ranked(
            {name: (colour, order[name] if name in tied else 0) for name, colour in colours.items()}
        )
        colours = _refined(looks, colours)
    return _ranked({name: (colour, order[name]) for name, colour in colours.items()})


def _refined(looks: list[tuple[int, tuple[Name, ...]]], colours: _Colours) -> _Colours:
    """Tell ids apart by the units they stand in, and by the colours of the ids beside them."""
    count = len(set(colours.values()))
    while count < len(colours):
        seen: dict[Name, list[object]] = defaultdict(list)
        for rank, names in looks:
            look = (rank, tuple([colours[name] for name in names]))
            for position, name in enumerate(names):
                seen[name].append((look, position))
        colours = _ranked({name: (colour, _sorted(seen[name])) for name, colour in colours.items()})
        if (reached := len(set(colours.values()))) == count:
            break
        count = reached
    return colours


def _sorted(looks: list[object]) -> list[object]:
    return looks if len(looks) == 1 else sorted(looks)  # type: ignore[type-var]


def _smallest_tie(colours: _Colours) -> set[Name]:
    together: dict[int, set[Name]] = defaultdict(set)
    for name, colour in colours.items():
        together[colour].add(name)
    tied = [(len(names), colour) for colour, names in together.items() if len(names) > 1]
    return together[min(tied)[1]] if tied else set()


def _ranked(keys: Mapping[Name, object]) -> _Colours:
    """Return the rank of each key among the others; equal keys have the same."""
    by_key: Callable[[Name], object] = keys.__getitem__
    ranks: _Colours = {}
    rank, last = -1, None
    for name in sorted(keys, key=by_key):  # type: ignore[arg-type]
        if last is None or keys[name] != last:
            rank += 1
        ranks[name], last = rank, keys[name]
    return ranks
