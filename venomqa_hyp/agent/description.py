"""What a value is, in words that are the same in another process for as long as its code is.

Code of the user's own is described by what it does: bytecode, constants, defaults, closure, and
every global function, class, module and value that it refers to, and so on from there. Names of
files and numbers of lines are left out, so moving code or a comment is no change. Code of the
standard library and of installed packages is described by its name and version.

The description is a set of *facts*, one for each function, class and module. A fact refers to
others by their names, so it does not matter that they refer to each other in circles.
"""

import copyreg
import dataclasses
import dis
import enum
import functools
import hashlib
import importlib.util
import io
import logging
import random
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from importlib import metadata
from pathlib import Path, PurePath
from typing import Any

import attrs
from hypothesis.strategies import SearchStrategy

from venomqa_hyp.core import hash_text
from venomqa_hyp.errors import DefinitionError

_PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(...), range, slice})
_BUILTIN = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.ClassMethodDescriptorType,
)
_UNKNOWABLE = (io.IOBase, Iterator, types.CoroutineType, memoryview)
#: What a class has beside what its author wrote, and what only differs by where it stands.
_NOT_WRITTEN = re.compile(
    "__(dict|weakref|doc|module|firstlineno|static_attributes|annotations|annotations_cache|annotate"
    "|annotate_func|abstractmethods|hash|match_args|attrs_props|orig_bases|parameters)__|_abc_impl"
)
_INSTALLED = tuple(
    {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)


class NoFingerprint(DefinitionError):
    """Something cannot be told from what it may be in the next run."""


class Describer:
    """Collects the facts about values.

    :ivar facts: what was found so far.
    :ivar shown: what becomes of the texts among the values.
    """

    def __init__(self) -> None:
        self.facts: set[str] = set()
        self.shown: Callable[[str], str] = str
        self._seen: dict[int, tuple[Any, str]] = {}  # holds the values: their ids stay theirs
        self._searched: dict[int, Any] = {}
        self._classes_seen: dict[int, type] = {}

    def describe(self, value: Any, where: str) -> str:
        """Return what identifies a value, and collect the facts behind it.

        :param where: what the value is called in an error.
        :raises NoFingerprint: names what could be anything in the next run.
        """
        kind = type(value)
        if kind is str:
            return repr(self.shown(value))
        if kind in _PLAIN:
            return repr(value)
        if id(value) in self._seen:
            return self._seen[id(value)][1]
        self._seen[id(value)] = value, f"(a {_name(kind)} that contains itself)"
        told = self._describe(value, where)
        self._seen[id(value)] = value, told
        return told

    def _describe(self, value: Any, where: str) -> str:
        for kind, tell in _WAYS:
            if isinstance(value, kind):
                return tell(self, value, where)
        return self._data(value, where)

    def _method(self, method: types.MethodType, where: str) -> str:
        return f"method {self._all((method.__func__, method.__self__), where)}"

    def _wrapped(self, method: Any, where: str) -> str:
        return f"{type(method).__name__} {self.describe(method.__func__, where)}"

    def _property(self, value: property, where: str) -> str:
        return f"property {self._all((value.fget, value.fset, value.fdel), where)}"

    def _builtin(self, value: Any, where: str) -> str:
        owner = getattr(value, "__self__", None)
        of = "" if owner is None else f" of {self.describe(owner, where)}"
        return f"builtin {value.__qualname__}{of}"

    def _path(self, path: PurePath, where: str) -> str:
        return f"path {self.describe(str(path), where)}"

    def _partial(self, value: functools.partial[Any], where: str) -> str:
        return f"partial {self._all((value.func, value.args, value.keywords), where)}"

    def _strategy(self, strategy: SearchStrategy[Any], where: str) -> str:
        self.search(strategy, where)
        return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(strategy))

    def _data(self, value: Any, where: str) -> str:
        kind = self._class(type(value))
        if isinstance(value, enum.Enum):
            return f"{kind}.{value.name}"
        if isinstance(value, random.Random):
            return kind  # another state in each run, as whoever uses it intends
        if attrs.has(type(value)) or dataclasses.is_dataclass(value):
            return f"{kind}{self._all(_fields(value), where)}"
        if is_own_module(type(value).__module__):
            return f"{kind}{self._all(_attributes(value), where)}{self._items(value, where)}"
        if items := self._items(value, where):
            return f"{kind}{items}"
        return f"{kind}{self._made_of(value, where)}"

    def _items(self, value: Any, where: str) -> str:
        if not isinstance(value, (Mapping, list, tuple, AbstractSet)):
            return ""
        items: Iterable[Any] = value.items() if isinstance(value, Mapping) else value
        told = [self.describe(item, f"an item of {where}") for item in items]
        return repr(sorted(told) if isinstance(value, AbstractSet) else told)

    def _made_of(self, value: Any, where: str) -> str:
        """Describe an object of a library: its content where it is a value, else only code."""
        if isinstance(value, _UNKNOWABLE):
            raise NoFingerprint(
                f"{where} is a {_name(type(value))}, and what it will give cannot be known. Make "
                "it inside of the action that uses it."
            )
        if isinstance(value, functools._lru_cache_wrapper):
            return f" {self.describe(value.__wrapped__, where)}"
        if (parts := _reduced(value)) is not None:
            return self._all(parts, where)
        if getattr(type(value), "__eq__", None) is not getattr(object, "__eq__", None):
            return self._all(_attributes(value), where)
        self.search(value, where)
        return ""

    def _all(self, values: Any, where: str) -> str:
        if isinstance(values, dict):
            told = {key: self.describe(item, f"{where}.{key}") for key, item in values.items()}
            return repr(told)
        return repr([self.describe(item, where) for item in values])

    def _code(self, code: types.CodeType, where: str) -> str:
        constants = [self.describe(item, where) for item in code.co_consts]
        names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
        counts = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount
        parts = (code.co_code, code.co_exceptiontable, constants, names, counts, code.co_flags)
        return f"code {hash_text(repr(parts))}"

    def _function(self, function: types.FunctionType, where: str) -> str:
        module = function.__module__
        if not is_own_module(module):
            self._search_function(function, where)
            return f"{module}.{function.__qualname__}{_version(module)}"
        name = f"{module}.{function.__qualname__}"
        told = f"function {name} {self._code(function.__code__, name)}"
        # Known before what it refers to is looked at, which may refer to it.
        self._seen[id(function)] = function, told
        cells = [
            "empty" if held is _EMPTY else self.describe(held, f"{variable} of {name}")
            for variable, held in _closure(function)
        ]
        defaults = self.describe([function.__defaults__, function.__kwdefaults__], name)
        used = {
            key: self.describe(function.__globals__[key], f"{key} of {name}")
            for key in sorted({key for code in _codes(function.__code__) for key in code.co_names})
            if key in function.__globals__
        }
        imported = [
            self._imported(key, f"{key}, which {name} imports,")
            for key in sorted(_imports(function))
        ]
        told = f"{told} {hash_text(repr((cells, defaults)))}"
        self.facts.add(f"{told}: {used} {imported}")
        return told

    def _class(self, kind: type, where: str = "") -> str:
        told = f"class {_name(kind)}{_version(kind.__module__)}"
        if not is_own_module(kind.__module__) or id(kind) in self._classes_seen:
            return told
        self._classes_seen[id(kind)] = kind
        bases = [self._class(base) for base in kind.__bases__]
        written = {
            key: self._member(kind, item, f"{_name(kind)}.{key}")
            for key, item in sorted(vars(kind).items())
            if not _NOT_WRITTEN.fullmatch(key) and not isinstance(item, _SLOTS)
        }
        self.facts.add(f"{told}: {type(kind).__name__} {bases} {written}")
        return told

    def _member(self, kind: type, item: Any, where: str) -> str:
        if isinstance(item, kind) and isinstance(item, enum.Enum):
            return self.describe(item.value, where)
        return self.describe(item, where)

    def _module(self, module: types.ModuleType, where: str) -> str:
        """Describe a module of the user's own by its file, and by those it imports from."""
        name = module.__name__
        if not is_own_module(name):
            return f"module {name}{_version(name)}"
        path = getattr(module, "__file__", None)
        if path is None:
            if hasattr(module, "__path__"):
                return f"namespace {name}"
            raise NoFingerprint(f"the module {name} has no file, so its code cannot be read.")
        self.facts.add(f"module {name}: {digest_of_file(Path(path))}")
        for item in list(vars(module).values()):
            origin = item if isinstance(item, types.ModuleType) else _module_of(item)
            if origin is not None and is_own_module(origin.__name__):
                self.describe(origin, f"{origin.__name__}, which {name} imports,")
        return f"module {name}"

    def _imported(self, name: str, where: str) -> str:
        """Describe a module that a function imports while it runs."""
        if name in sys.modules:
            return self.describe(sys.modules[name], where)
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError):
            spec = None
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            return f"no module {name}"
        if not is_own_module(name):
            return f"module {name}{_version(name)}"
        return f"module {name}: {digest_of_file(Path(spec.origin))}"

    def search(self, value: Any, where: str) -> None:
        """Look for the user's own code in what is not: an application, a strategy.

        Only code counts there. The rest is caches and connections, and differs from run to run.
        """
        waiting = [value]
        while waiting:
            item = waiting.pop()
            if id(item) in self._searched or type(item) in _PLAIN:
                continue
            self._searched[id(item)] = item
            kind = type(item)
            if isinstance(item, types.FunctionType | type) or is_own_module(kind.__module__):
                self.describe(item, where)
            elif not isinstance(item, _SHARED_BY_ALL):
                self._class(kind)
                waiting += _parts(item)

    def _search_function(self, function: types.FunctionType, where: str) -> None:
        for _, held in _closure(function):
            if held is not _EMPTY:
                self.search(held, where)


_WAYS: tuple[tuple[Any, Callable[..., str]], ...] = (
    (types.CodeType, Describer._code),
    (types.FunctionType, Describer._function),
    (type, Describer._class),
    (types.ModuleType, Describer._module),
    (types.MethodType, Describer._method),
    ((staticmethod, classmethod), Describer._wrapped),
    (property, Describer._property),
    (_BUILTIN, Describer._builtin),
    (PurePath, Describer._path),
    (functools.partial, Describer._partial),
    (SearchStrategy, Describer._strategy),
)
_EMPTY = object()
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_SHARED_BY_ALL = (types.ModuleType, logging.Logger, logging.Handler, logging.Filterer)


def is_own_module(name: str | None) -> bool:
    """Return whether a module is the user's: of no installed package, and not Python's."""
    root = (name or "__main__").partition(".")[0]
    if root == "__main__":
        return True
    if root in sys.stdlib_module_names or root in ("venomqa_hyp", "hypothesis"):
        return False
    if root in sys.modules:
        path = getattr(sys.modules[root], "__file__", None)
    else:
        try:
            spec = importlib.util.find_spec(root)
        except (ImportError, ValueError):
            spec = None
        path = None if spec is None else spec.origin
    return path is None or not any(Path(path).is_relative_to(where) for where in _INSTALLED)


def digest_of_file(path: Path) -> str:
    """Return what identifies the content of a file.

    :raises NoFingerprint: it cannot be read.
    """
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise NoFingerprint(f"{path} cannot be read: {error.strerror or error}.") from error


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()


@functools.cache
def _version(module: str | None) -> str:
    """Return the version of the installed package that holds a module, if it has one."""
    root = (module or "").partition(".")[0]
    if is_own_module(module) or root in sys.stdlib_module_names:
        return ""
    names = _distributions().get(root, [])
    return "".join(f" {name} {metadata.version(name)}" for name in sorted({*names}))


def _module_of(value: Any) -> types.ModuleType | None:
    name = getattr(value, "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _parts(item: Any) -> Iterable[Any]:
    if isinstance(item, types.MethodType):
        return item.__func__, item.__self__
    if isinstance(item, functools.partial):
        return item.func, *item.args, *item.keywords.values()
    if isinstance(item, dict | types.MappingProxyType):
        return *item.keys(), *item.values()
    if isinstance(item, list | tuple | set | frozenset):
        return item
    return _attributes(item).values()


def _attributes(value: Any) -> dict[str, Any]:
    slots = {
        name: getattr(value, name)
        for kind in type(value).__mro__
        for name, member in vars(kind).items()
        if isinstance(member, types.MemberDescriptorType) and hasattr(value, name)
    }
    return slots | dict(getattr(value, "__dict__", {}))


def _fields(value: Any) -> dict[str, Any]:
    kind = type(value)
    fields = attrs.fields(kind) if attrs.has(kind) else dataclasses.fields(value)
    return {field.name: getattr(value, field.name) for field in fields}


def _reduced(value: Any) -> list[Any] | None:
    """Return what a value is made of, where its type says so; ``None`` where it does not."""
    kind = type(value)
    if not (
        kind in copyreg.dispatch_table
        or any(
            getattr(kind, name, None) is not getattr(object, name, None)
            for name in ("__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs__")
        )
    ):
        return None
    try:
        made = value.__reduce_ex__(4)
    except Exception:  # it cannot be copied: a connection, a lock
        return None
    if isinstance(made, str):
        return [made]
    return [list(part) if isinstance(part, Iterator) else part for part in made]


def _closure(function: types.FunctionType) -> list[tuple[str, Any]]:
    return [
        (name, _contents(cell))
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        )
    ]


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _imports(function: types.FunctionType) -> set[str]:
    """Return the names of modules that a function may import while it runs."""
    package = function.__globals__.get("__package__") or ""
    found = set()
    for code in _codes(function.__code__):
        module = ""
        for instruction in dis.get_instructions(code):
            if instruction.opname == "IMPORT_NAME":
                module = instruction.argval
                found |= {module, f"{package}.{module}".strip(".")}
            elif instruction.opname == "IMPORT_FROM":
                found |= {f"{at}.{instruction.argval}".strip(".") for at in (module, package)}
    return found - {""}
