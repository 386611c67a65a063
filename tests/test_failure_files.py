"""Failure files hold a failure exactly, read well, and no file in the folder can do harm."""

import dataclasses
import datetime
import decimal
import enum
import json
import os
import re
import subprocess
import sys
import tempfile
import uuid
import zoneinfo
from collections import OrderedDict, namedtuple
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from venomqa_hyp.errors import DefinitionError
from venomqa_hyp.stateful import failure_files
from venomqa_hyp.stateful.failure_files import (
    DEFAULT_FOLDER,
    MAX_BYTES,
    FailureFolder,
    SavedFailure,
    SavedStep,
    Unreadable,
)
from venomqa_hyp.values import canonical_text, encoding
from venomqa_hyp.values.encoding import Undecodable, Unencodable, Unsaved, decode, encode

REFUND = SavedFailure(
    "TestOrders",
    "refunds_within_payment",
    "critical",
    "order 1: refunded 200 of 100",
    (
        SavedStep("create_order", {"amount": 100, "note": "é"}, {"amount": (100,)}, {}),
        SavedStep("pay", {"order": 1}, {}, {"order": 0}),
        SavedStep("log_out", {}, {}, {}),
    ),
)

offsets = st.integers(-86399, 86399).map(
    lambda seconds: datetime.timezone(datetime.timedelta(seconds=seconds))
)
texts = st.text(st.characters(codec=None) | st.sampled_from("\\$\ud83d\ude00\x85"), max_size=4)
hashable_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**53 - 1, 2**53, -(2**53), 2**2000, -(2**14_000)]),
    st.floats(),
    st.complex_numbers(allow_nan=True),
    texts,
    st.binary(max_size=4),
    st.decimals().filter(lambda number: not number.is_snan()),
    st.uuids(),
    st.dates(),
    st.timedeltas(),
    st.datetimes(timezones=st.none() | st.just(datetime.UTC) | offsets),
    st.builds(
        datetime.datetime.replace, st.datetimes(timezones=st.none() | offsets), fold=st.just(1)
    ),
    st.times(timezones=st.none() | offsets),
)
hashables = st.recursive(
    hashable_scalars,
    lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3),
    max_leaves=4,
)
names = st.sampled_from(["$bytes", "$set", "$x", "$", "name", "format", "é"])
values = st.recursive(
    hashables | st.just(decimal.Decimal("sNaN123")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.sets(hashables, max_size=3),
        st.dictionaries(names | texts, inner, max_size=3),
        st.dictionaries(hashables, inner, max_size=3),
    ),
    max_leaves=8,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(texts, inner, max_size=3),
        st.dictionaries(
            st.sampled_from(sorted([*encoding._SCALARS, "$dict", "$set", "$tuple", "$eval"])),
            inner,
            min_size=1,
            max_size=1,
        ),
    ),
    max_leaves=8,
)
choices = st.integers() | st.booleans() | st.floats() | texts | st.binary(max_size=4)
steps = st.builds(
    SavedStep,
    texts,
    st.dictionaries(names | texts, values, max_size=3),
    st.dictionaries(names | texts, st.lists(choices, max_size=3).map(tuple), max_size=2),
    st.dictionaries(names | texts, st.integers(0, 3), max_size=2),
)
failures = st.builds(
    SavedFailure, texts, texts, texts, texts, st.lists(steps, max_size=3).map(tuple)
)


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclasses.dataclass
class Order:
    id: int


class Opaque:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class OwnText(str):
    def __repr__(self) -> str:
        return str(self)


Point = namedtuple("Point", "x y")
endless: list[Any] = []
endless.append(endless)


def content(failure: SavedFailure) -> str:
    """Write down a failure so that == tells types and NaNs apart."""
    return canonical_text(attrs.asdict(failure, recurse=True))


@pytest.fixture
def folder(tmp_path: Path) -> FailureFolder:
    return FailureFolder(tmp_path / "failures")


@given(values)
@example({"$bytes": "aGk="})
@example({"$dict": [[1, 2]]})
@example("\ud83d\ude00 \\ud83d")
@example([0.0, -0.0, complex(-0.0, -0.0), float("nan")])
def test_every_supported_value_is_read_back_as_it_was(value: Any) -> None:
    """Encoding, JSON and decoding give a value of the same types with the same digest."""
    text = json.dumps(encode(value), allow_nan=False)
    assert canonical_text(decode(json.loads(text))) == canonical_text(value)


@given(values)
def test_equal_values_are_encoded_alike(value: Any) -> None:
    """The encoding of a value that was read back is the same text, so files do not flicker."""
    once = encode(value)
    assert json.dumps(encode(decode(once))) == json.dumps(once)


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -3, 2**53 - 1, 1.5, 1e300, "text", "é 退款 😀", "$"),
        *([], {}, [1, ["a"]], {"a": {"b": [None]}}, {"$a": 1, "$b": 2}),
    ],
)
def test_what_json_holds_stays_as_it_is(value: Any) -> None:
    """Plain values are written plainly, for people."""
    assert encode(value) == value


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (b"hi", {"$bytes": "aGk="}),
        ((1, "a"), {"$tuple": [1, "a"]}),
        ({10, 9, 2}, {"$set": [2, 9, 10]}),
        (frozenset({"b", "a"}), {"$frozenset": ["a", "b"]}),
        ({1: "a"}, {"$dict": [[1, "a"]]}),
        ({"$set": []}, {"$dict": [["$set", []]]}),
        (2**53, {"$int": "9007199254740992"}),
        (-(16**1000), {"$int": "-0x1" + "0" * 1000}),
        (float("-inf"), {"$float": "-inf"}),
        (1 + 2j, {"$complex": "(1+2j)"}),
        ("caf\udce9", {"$str": r"caf\udce9"}),
        ("\\\udce9", {"$str": r"\u005c\udce9"}),
        (decimal.Decimal("1.50"), {"$decimal": "1.50"}),
        (uuid.UUID(int=1), {"$uuid": "00000000-0000-0000-0000-000000000001"}),
        (datetime.datetime(2024, 2, 29, 1, fold=1), {"$datetime": "2024-02-29T01:00:00 fold=1"}),
        (datetime.time(1, 2, tzinfo=datetime.UTC), {"$time": "01:02:00+00:00"}),
        (datetime.date(2024, 2, 29), {"$date": "2024-02-29"}),
        (datetime.timedelta(seconds=-1), {"$timedelta": [-1, 86399, 0]}),
        (Unsaved("Order(id=1)"), {"$unsaved": "Order(id=1)"}),
    ],
)
def test_the_encoding_is_the_documented_one(value: Any, encoded: Any) -> None:
    """Files of today are read by versions of tomorrow, so the encoding is pinned."""
    assert encode(value) == encoded
    assert canonical_text(decode(encoded)) == canonical_text(value)


def test_integers_that_python_does_not_print_are_saved() -> None:
    """Python refuses to print more than 4300 digits; the file has hexadecimal ones."""
    assert decode(json.loads(json.dumps(encode(-(3**20_000))))) == -(3**20_000)


def test_every_encoding_is_documented() -> None:
    """The head of the module has a row for each encoding."""
    documented = set(re.findall(r"^``(\$\w+)``", str(encoding.__doc__), re.MULTILINE))
    assert documented == {*encoding._SCALARS, *encoding._COLLECTIONS, "$dict"}


def test_the_documented_file_is_what_is_written(folder: FailureFolder) -> None:
    """The file shown at the head of the module is a real one."""
    shown = str(failure_files.__doc__).split("::\n\n", 1)[1].split("\n\n", 1)[0]
    text = "\n".join(line.removeprefix("    ") for line in shown.splitlines()) + "\n"
    folder.path.mkdir()
    path = folder.path / "shown.json"
    path.write_text(text, "utf-8")
    [(_, failure)] = folder.load("TestOrders").failures
    path.unlink()
    assert folder.save(failure).read_text("utf-8") == text


@pytest.mark.parametrize(
    "value",
    [
        *(Colour.RED, Level.LOW, Order(1), Opaque(), object(), OwnText("a"), OrderedDict(a=1)),
        *(Point(1, 2), len, int, bytearray(b"a"), range(3), endless),
        datetime.datetime(2024, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
        datetime.time(tzinfo=datetime.timezone(datetime.timedelta(0), "GMT")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_values_are_refused(value: Any) -> None:
    """A value that could not be read back as itself is named with its place, never changed."""
    with pytest.raises(Unencodable, match=r"^order\['item'\]\[1\]") as refused:
        encode({"item": [0, value]}, where="order")
    assert isinstance(refused.value, DefinitionError)
    assert "Draw " in str(refused.value)


@given(json_values)
def test_no_json_value_breaks_the_decoder(encoded: Any) -> None:
    """Whatever stands in a file is decoded or refused with one error, and never acted on."""
    try:
        value = decode(encoded)
    except Undecodable:
        return
    assert canonical_text(decode(encode(value))) == canonical_text(value)


@pytest.mark.parametrize(
    "encoded",
    [
        {"$eval": "1"},
        {"$bytes": "%"},
        {"$bytes": "é"},
        {"$bytes": 1},
        {"$int": "1" * 5000},
        {"$int": 1.5},
        {"$float": "one"},
        {"$decimal": "1,5"},
        {"$uuid": "1"},
        {"$datetime": "yesterday"},
        {"$datetime": "2024-02-29T01:00:00 fold=7"},
        {"$timedelta": [1, 2]},
        {"$timedelta": [10**10, 0, 0]},
        {"$timedelta": ["1", 0, 0]},
        {"$set": [[]]},
        {"$set": [{"$decimal": "sNaN"}]},
        {"$dict": {"a": 1}},
        {"$dict": [[1]]},
        {"$dict": [1]},
        {"$dict": [[{}, 1]]},
        {"$tuple": "ab"},
        {"$unsaved": {}},
    ],
    ids=str,
)
def test_a_wrong_encoding_is_refused(encoded: Any) -> None:
    """What no value is encoded as is refused as a whole."""
    with pytest.raises(Undecodable):
        decode([encoded])


@given(failures)
def test_every_failure_is_loaded_as_it_was_saved(failure: SavedFailure) -> None:
    """Any names, arguments, choices and picks come back with equal types and order of steps."""
    with tempfile.TemporaryDirectory() as path:
        folder = FailureFolder(path)
        saved_to = folder.save(failure)
        loaded = folder.load(failure.machine)
        assert loaded.unreadable == ()
        assert [path for path, _ in loaded.failures] == [saved_to]
        assert content(loaded.failures[0][1]) == content(failure)
        assert saved_to.read_text("utf-8").replace("\n", "").isprintable()
        written = saved_to.stat()
        assert folder.save(loaded.failures[0][1]) == saved_to
        assert saved_to.stat() == written


def test_a_file_reads_and_diffs_well(folder: FailureFolder) -> None:
    """One line per step, keys in the order one reads them, other languages as they are."""
    path = folder.save(REFUND)
    assert path == folder.path / "TestOrders-refunds_within_payment.json"
    assert (
        path.read_bytes().decode()
        == """\
{
  "format": 1,
  "machine": "TestOrders",
  "name": "refunds_within_payment",
  "severity": "critical",
  "message": "order 1: refunded 200 of 100",
  "steps": [
    {
      "action": "create_order",
      "arguments": {"amount": 100, "note": "é"},
      "choices": {"amount": [100]}
    },
    {"action": "pay", "arguments": {"order": 1}, "picks": {"order": 0}},
    {"action": "log_out"}
  ]
}
"""
    )


@given(st.lists(values, max_size=3))
def test_lines_are_short_where_they_can_be(items: list[Any]) -> None:
    """Only a single long value makes a line longer than 100 signs."""
    step = SavedStep("a", {"items": items}, {}, {})
    text = failure_files._text_of_file(attrs.evolve(REFUND, steps=(step,)))
    for line in text.splitlines():
        assert len(line) <= 100 or not line.endswith(("]", "}", "],", "},"))


def test_an_argument_that_cannot_be_saved_does_not_lose_the_failure(folder: FailureFolder) -> None:
    """Its value is replaced by what it looked like; the choices that made it are kept."""
    step = SavedStep("paint", {"colour": Colour.RED, "it": object()}, {"colour": (0,)}, {})
    folder.save(attrs.evolve(REFUND, steps=(step,)))
    [(_, failure)] = folder.load("TestOrders").failures
    assert failure.steps[0].arguments == {
        "colour": Unsaved("<Colour.RED: 1>"),
        "it": Unsaved("<object object>"),
    }
    assert failure.steps[0].choices == {"colour": (0,)}


@pytest.mark.parametrize("bad", [Opaque(), endless, OwnText("\ud800")])
def test_whatever_an_argument_looks_like_it_can_be_saved(bad: Any, folder: FailureFolder) -> None:
    """A failing repr, a value that holds itself and text beyond UTF-8 are no obstacle."""
    folder.save(attrs.evolve(REFUND, steps=(SavedStep("a", {"x": bad}, {}, {}),)))
    [(_, failure)] = folder.load("TestOrders").failures
    assert isinstance(failure.steps[0].arguments["x"], Unsaved)


def test_a_failure_that_is_too_large_is_refused(folder: FailureFolder) -> None:
    """What could not be loaded again is not saved."""
    step = SavedStep("upload", {"body": "a" * MAX_BYTES}, {}, {})
    with pytest.raises(Unencodable, match=f"a failure file has at most {MAX_BYTES}"):
        folder.save(attrs.evolve(REFUND, steps=(step,)))
    assert not folder.path.exists()


def test_the_default_folder_is_below_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is fixed when the folder object is made, and made when something is saved."""
    monkeypatch.chdir(tmp_path)
    folder = FailureFolder()
    monkeypatch.chdir("/")
    assert folder.path == tmp_path / ".venomqa" / "failures" == tmp_path / DEFAULT_FOLDER
    assert folder.load("TestOrders") == failure_files.Loaded()
    assert list(tmp_path.iterdir()) == []
    assert folder.save(REFUND).is_file()


def test_saving_again_replaces_the_file_of_the_same_failure(folder: FailureFolder) -> None:
    """There is one file per machine and name, also where somebody renamed it."""
    renamed = folder.save(REFUND).rename(folder.path / "double refund.json")
    assert folder.save(attrs.evolve(REFUND, message="another")) == renamed
    [(path, failure)] = folder.load("TestOrders").failures
    assert (path, failure.message) == (renamed, "another")
    assert os.listdir(folder.path) == ["double refund.json"]


def test_a_file_that_says_the_same_is_not_touched(folder: FailureFolder) -> None:
    """Not even where a formatter or a checkout with other line ends rewrote it."""
    path = folder.save(REFUND)
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")), indent=8), newline="\r\n")
    os.utime(path, ns=(0, 0))
    folder.save(REFUND)
    assert path.stat().st_mtime_ns == 0


def test_a_machine_loads_its_own_failures_in_order(folder: FailureFolder) -> None:
    """Failures of other machines are neither loaded nor reported."""
    for machine, name in [("A", "second"), ("A", "first"), ("B", "first"), ("a", "first")]:
        folder.save(attrs.evolve(REFUND, machine=machine, name=name))
    loaded = folder.load("A")
    assert [failure.name for _, failure in loaded.failures] == ["first", "second"]
    assert loaded.unreadable == ()


@pytest.mark.parametrize(
    ("machine", "name"),
    [
        ("A", "../../etc/passwd"),
        ("a/b", "c"),
        ("a\\b", "c:d"),
        ("", ""),
        (".", ".."),
        ("nul.", "con"),
        ("A", "tab\there\n"),
        ("A", "refund twice"),
        ("A", "退款"),
        ("A" * 300, "b" * 300),
        ("A", "\ud800\0"),
        ("a-b", "c"),
    ],
)
def test_file_names_are_safe_everywhere(machine: str, name: str, folder: FailureFolder) -> None:
    """Names become plain ASCII in the folder, told apart by a digest where that changes them."""
    path = folder.save(attrs.evolve(REFUND, machine=machine, name=name))
    assert path.parent == folder.path
    assert re.fullmatch(r"[A-Za-z0-9_]+-[A-Za-z0-9_.-]+-[0-9a-f]{8}\.json", path.name)
    assert len(path.name) < 140
    [(_, failure)] = folder.load(machine).failures
    assert (failure.machine, failure.name) == (machine, name)


@given(st.sets(st.tuples(texts, texts) | st.tuples(st.text("aA-_. "), st.text("aA-_. "))))
def test_different_failures_have_different_files(identities: set[tuple[str, str]]) -> None:
    """No failure replaces one of another machine or name, whatever they are called."""
    with tempfile.TemporaryDirectory() as path:
        folder = FailureFolder(path)
        saved = [attrs.evolve(REFUND, machine=a, name=b) for a, b in identities]
        assert len({folder.save(failure) for failure in saved}) == len(saved)
        for machine in {machine for machine, _ in identities}:
            mine = sorted(name for owner, name in identities if owner == machine)
            loaded = folder.load(machine).failures
            assert sorted(failure.name for _, failure in loaded) == mine


def test_a_foreign_file_is_not_replaced(folder: FailureFolder) -> None:
    """A broken file keeps its name; the failure gets another one, and keeps that."""
    folder.path.mkdir()
    broken = folder.path / "TestOrders-refunds_within_payment.json"
    broken.write_text("<<<<<<< HEAD")
    path = folder.save(REFUND)
    assert re.fullmatch(r"TestOrders-refunds_within_payment-[0-9a-f]{8}\.json", path.name)
    broken.unlink()
    assert folder.save(attrs.evolve(REFUND, message="another")) == path


def test_when_every_name_is_taken_the_failure_is_refused(folder: FailureFolder) -> None:
    """Rather than replacing what is not understood, saving says what is in the way."""
    folder.path.mkdir()
    for stem in failure_files._file_stems(REFUND.machine, REFUND.name):
        (folder.path / f"{stem}.json").mkdir()
    with pytest.raises(FileExistsError, match="Repair or delete them"):
        folder.save(REFUND)


def damaged(change: dict[str, Any], *missing: str) -> bytes:
    """Return the file of a failure with some keys changed and some left out."""
    document = json.loads(failure_files._text_of_file(REFUND)) | change
    return json.dumps({key: document[key] for key in document if key not in missing}).encode()


def with_step(**step: Any) -> bytes:
    """Return the file of a failure with one step."""
    return damaged({"steps": [step]})


HOSTILE = {
    "empty": (b"", "not JSON"),
    "not text": (b"\xff\xfe\x00\xd8", "not JSON"),
    "cut off": (damaged({})[:-2], "not JSON"),
    "merge conflict": (b"<<<<<<< HEAD\n{}", "not JSON"),
    "deep": (b"[" * 100_000, "not JSON: .*recursion"),
    "deep value": (with_step(action="a", arguments=[]).replace(b"[]", b"[" * 9999), "not JSON"),
    "NaN": (damaged({"severity": 7}).replace(b"7", b"NaN"), "NaN is not JSON"),
    "digits": (damaged({"severity": 7}).replace(b"7", b"7" * 5000), "not JSON"),
    "a list": (b"[]", "no 'format'"),
    "a package.json": (b'{"name": "shop", "version": "1.0"}', "no 'format'"),
    "newer": (damaged({"format": 2, "steps": {"$new": 1}}), "has format 2, but .* reads format 1"),
    "format true": (damaged({"format": True}), "has format True"),
    "encoded": (b'{"$dict": [["format", 1]]}', "no 'format'"),
    "nothing but format": (b'{"format": 1}', "no 'steps'"),
    "no name": (damaged({}, "name"), "no 'name'"),
    "no steps": (damaged({}, "steps"), "no 'steps'"),
    "wrong name": (damaged({"name": 1}), "'name' is 1, but it must be a str"),
    "wrong steps": (damaged({"steps": {"$tuple": []}}), "must be a list"),
    "wrong step": (damaged({"steps": ["pay"]}), "a step is 'pay'"),
    "unknown encoding": (with_step(action="a", arguments={"x": {"$eval": "1"}}), "eval"),
    "unnamed step": (with_step(arguments={}), "no 'action'"),
    "arguments": (with_step(action="a", arguments=[1]), "'arguments' is"),
    "argument name": (with_step(action="a", arguments={"$dict": [[1, 2]]}), "the name of an"),
    "choices": (with_step(action="a", choices={"x": 1}), "the choices of 'x'"),
    "choice": (with_step(action="a", choices={"x": [None]}), "a choice of 'x' is None"),
    "negative pick": (with_step(action="a", picks={"x": -1}), "the pick of 'x' is -1"),
    "true pick": (with_step(action="a", picks={"x": True}), "the pick of 'x' is True"),
    "huge": (b" " * (MAX_BYTES + 1), f"more than {MAX_BYTES} bytes"),
}


@pytest.mark.parametrize(("hostile", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_a_broken_file_is_reported_and_left_alone(
    hostile: bytes, reason: str, folder: FailureFolder
) -> None:
    """It costs no other failure, says why, and neither loading nor saving changes it."""
    good = folder.save(attrs.evolve(REFUND, name="other"))
    path = folder.path / "TestOrders-refunds_within_payment.json"
    path.write_bytes(hostile)
    loaded = folder.load("TestOrders")
    assert [path for path, _ in loaded.failures] == [good]
    [unreadable] = loaded.unreadable
    assert unreadable.path == path
    assert re.search(reason, unreadable.reason, re.DOTALL)
    assert len(unreadable.reason) < 300
    assert str(path) in str(unreadable)
    folder.save(REFUND)
    assert path.read_bytes() == hostile


def test_decoded_bombs_stay_small(folder: FailureFolder) -> None:
    """Text that only stands for something enormous is kept as it is, not calculated."""
    bomb = with_step(action="a", arguments={"x": {"$decimal": "1e999999999999"}})
    folder.path.mkdir()
    (folder.path / "bomb.json").write_bytes(bomb)
    [(_, failure)] = folder.load("TestOrders").failures
    assert failure.steps[0].arguments["x"] == decimal.Decimal("1e999999999999")


@pytest.mark.skipif(sys.platform == "win32", reason="needs links and pipes")
def test_what_is_not_a_file_is_reported(folder: FailureFolder) -> None:
    """A pipe is not waited for, a loop of links not followed, a folder not entered."""
    folder.path.mkdir()
    os.mkfifo(folder.path / "pipe.json")
    (folder.path / "loop.json").symlink_to("loop.json")
    (folder.path / "nothing.json").symlink_to("missing")
    (folder.path / "zero.json").symlink_to("/dev/zero")
    (folder.path / "folder.json").mkdir()
    (folder.path / "README.md").write_text("not looked at")
    loaded = folder.load("TestOrders")
    assert {item.path.stem: item.reason for item in loaded.unreadable} == {
        "folder": "it is not a file",
        "loop": "Too many levels of symbolic links",
        "nothing": "it is a link to nothing",
        "pipe": "it is not a file",
        "zero": "it is not a file",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="needs links")
def test_saving_replaces_a_link_and_not_what_it_points_to(
    folder: FailureFolder, tmp_path: Path
) -> None:
    """Nothing outside the folder is ever written."""
    path = folder.save(REFUND)
    outside = path.rename(tmp_path / "outside.json")
    path.symlink_to(outside)
    before = outside.read_bytes()
    assert folder.save(attrs.evolve(REFUND, message="another")) == path
    assert outside.read_bytes() == before
    assert not path.is_symlink()


def test_a_file_where_the_folder_should_be_is_reported(folder: FailureFolder) -> None:
    """Loading goes on; only saving cannot."""
    folder.path.write_text("")
    assert folder.load("A").unreadable == (Unreadable(folder.path, "Not a directory"),)
    with pytest.raises(OSError, match="exists"):
        folder.save(REFUND)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    folder: FailureFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk or a file in use costs the new content only."""
    path = folder.save(REFUND)

    def refuse(*paths: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        folder.save(attrs.evolve(REFUND, message="another"))
    assert os.listdir(folder.path) == [path.name]
    assert folder.load("TestOrders").failures == ((path, REFUND),)


def test_a_failure_can_be_removed_twice(folder: FailureFolder) -> None:
    """Two processes may both find out that it is fixed."""
    path = folder.save(REFUND)
    folder.remove(path)
    folder.remove(path)
    assert folder.load("TestOrders") == failure_files.Loaded()


@pytest.mark.parametrize("outside", ["other.json", "failures/../other.json", "failures/a/b.json"])
def test_only_files_of_the_folder_are_removed(
    outside: str, folder: FailureFolder, tmp_path: Path
) -> None:
    """A path from elsewhere is refused."""
    with pytest.raises(DefinitionError, match="so it is not deleted"):
        folder.remove(tmp_path / outside)


SAVE_MANY = """
import sys, attrs
from venomqa_hyp.stateful.failure_files import FailureFolder, SavedFailure, SavedStep
folder = FailureFolder(sys.argv[1])
for number in range(60):
    steps = (SavedStep(sys.argv[2], {"text": "a" * number * 100}, {}, {}),) * (number % 7)
    folder.save(SavedFailure("M", "shared", "high", "", steps))
    folder.save(SavedFailure("M", sys.argv[2], "high", str(number), ()))
"""


def test_processes_that_save_at_once_never_leave_a_broken_file(folder: FailureFolder) -> None:
    """Whoever reads meanwhile sees whole files only, and in the end each failure is there."""
    writers = [
        subprocess.Popen([sys.executable, "-c", SAVE_MANY, str(folder.path), name])
        for name in ("one", "two", "three")
    ]
    while any(writer.poll() is None for writer in writers):
        assert folder.load("M").unreadable == ()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    names = [failure.name for _, failure in folder.load("M").failures]
    assert names == ["one", "shared", "three", "two"]
    assert sorted(os.listdir(folder.path)) == [f"M-{name}.json" for name in names]
