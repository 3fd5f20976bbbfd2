"""A pickle interpreter that builds plain Python values and calls only the constructors that it was given.

Python's own unpicklers call whatever a file names, and hand it the file's state; even an allowed `numpy.dtype` can then
be driven to crash the process. Here a name in a file is only looked up in a table of our own functions, each of which
checks its arguments. Work and memory are bounded by a `Budget`, since a few bytes can ask for gigabytes.
"""

from __future__ import annotations

import io
import pickletools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, cast

Constructor = Callable[..., Any]  # of the pickled arguments
MOST_OPERATIONS = 1_000_000  # the largest published checkpoint has some 200,000
MOST_ODD_KEYS = 10_000  # of hashed values that are not text: their hashes can be chosen so that all of them collide


class Refused(Exception):
    """A pickle that is damaged, asks for something that is not in the table, or for more than its budget."""


def asks_for(symbol: object) -> Refused:
    """The refusal of a pickle that wants something by name that no weights need."""
    return Refused(f"it asks for {symbol}, which is neither a tensor nor a plain container; nothing of it was run")


@dataclass
class Budget:
    """Bytes that may be made out of a file; every constructor charges what it copies."""

    left: int

    def charge(self, count: int) -> None:
        """Take `count` bytes off. Raises Refused where fewer are left."""
        if count < 0 or count > self.left:
            raise Refused("it asks for more memory than any known network of its size")
        self.left -= count


@dataclass(frozen=True)
class Symbol:
    """A name that a pickle refers to; nothing is imported for it."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


class Opaque:
    """An object of a class that is not in the table: what it was called, and nothing else of it."""

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol


class Settable(ABC):
    """A value that is completed by a pickle's BUILD operation."""

    @abstractmethod
    def set_state(self, state: Any) -> Any:
        """Return the value with this state; it may be another object. Raises Refused."""


@dataclass(frozen=True)
class Dialect:
    """What a kind of file may hold.

    `constructors` maps a symbol to our function of its arguments; `constants` maps one to a plain value;
    `construct_unknown` gives the value of any other symbol that is called, or raises Refused; `load_persistent`
    resolves a persistent id (a storage of tensors).
    """

    constructors: Mapping[tuple[str, str], Constructor]
    constants: Mapping[tuple[str, str], Any]
    construct_unknown: Callable[[Symbol, tuple[Any, ...]], Any]
    load_persistent: Callable[[Any], Any]


class BoundedStream(io.RawIOBase):
    """A file of `size` bytes in which no read asks for more than there is, whatever length a pickle claims."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.file.tell()

    def read(self, count: int = -1, /) -> bytes:
        left = self.size - self.file.tell()
        return self.file.read(left if count is None or count < 0 else min(count, left))

    def readline(self, count: int | None = -1, /) -> bytes:
        left = self.size - self.file.tell()
        return self.file.readline(left if count is None or count < 0 else min(count, left))


class _Mark:
    """What a MARK operation leaves on the stack."""


_MARK = _Mark()


class Machine:
    """One pickle being read; see `run`."""

    def __init__(self, dialect: Dialect, budget: Budget) -> None:
        self.dialect, self.budget = dialect, budget
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.places: dict[int, list[int]] = {}  # in the memo, of values that are not complete yet, by their id
        self.odd_keys = 0

    def run(self, stream: BoundedStream) -> Any:
        """The value of the next pickle in `stream`, which is left behind its STOP. Raises Refused."""
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream))):
            if count > MOST_OPERATIONS:
                raise Refused(f"it takes more than {MOST_OPERATIONS:,} operations to read")
            if opcode.name == "STOP":
                return self._pop()
            step = _STEPS.get(opcode.name)
            if step is None:
                raise Refused(f"its operation {opcode.name} is not known")
            step(self, argument)
        raise Refused("it has no end")

    def _pop(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Refused("an operation finds nothing to work on")
        return self.stack.pop()

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise Refused("an operation finds nothing to work on")
        return self.stack[-1]

    def _pop_mark(self) -> list[Any]:
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise Refused("an operation finds no mark")

    def _drop(self, values: list[Any]) -> None:
        values.clear()

    def _push(self, value: Any) -> None:
        self.stack.append(value)

    def hashed(self, value: Any) -> Any:
        """`value` as a key. Raises Refused for one that cannot be hashed, or one too many whose hash can be chosen."""
        if not isinstance(value, (str, bytes)):
            self.odd_keys += 1
            if self.odd_keys > MOST_ODD_KEYS or not isinstance(value, (int, float, complex, tuple, bool, type(None))):
                raise Refused("it has keys that are no text")
        try:
            hash(value)
        except TypeError as error:
            raise Refused("it has a key that cannot be one") from error
        return value

    def _put(self, place: int) -> None:
        value = self._top()
        self.memo[place] = value
        if isinstance(value, Settable):
            self.places.setdefault(id(value), []).append(place)

    def _get(self, place: int) -> None:
        if place not in self.memo:
            raise Refused("it refers to a value that it does not hold")
        self._push(self.memo[place])

    def _append(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, list):
            raise Refused("it appends to what is no list")
        self.budget.charge(8 * len(values))
        target.extend(values)

    def _set_items(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, dict) or len(values) % 2:
            raise Refused("it sets items of what is no dict")
        for key, value in zip(values[::2], values[1::2], strict=True):
            target[self.hashed(key)] = value

    def _add_items(self, values: list[Any]) -> None:
        target = self._top()
        if not isinstance(target, set):
            raise Refused("it adds items to what is no set")
        target.update(self.hashed(value) for value in values)

    def _symbol(self, module: Any, name: Any) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise Refused("it names something by what is no text")
        key = (module, name)
        self._push(self.dialect.constants[key] if key in self.dialect.constants else Symbol(module, name))

    def _call(self, function: Any, arguments: Any, named: Any = None) -> None:
        if not isinstance(function, Symbol) or not isinstance(arguments, tuple) or named:
            raise Refused("it calls what is no name")
        constructor = self.dialect.constructors.get((function.module, function.name))
        if constructor is None:
            self._push(self.dialect.construct_unknown(function, arguments))
            return
        self.budget.charge(sum(len(each) for each in arguments if isinstance(each, (str, bytes, list, tuple, dict))))
        try:
            self._push(constructor(*arguments))
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            raise Refused(f"{function} cannot be made of what it holds") from error

    def _build(self) -> None:
        state, target = self._pop(), self._pop()
        if isinstance(target, Settable):
            complete = target.set_state(state)
            for place in self.places.pop(id(target), []):
                self.memo[place] = complete
            target = complete
        self._push(target)  # attributes of plain containers and of unknown objects are dropped

    def _dict_of(self, values: list[Any]) -> None:
        self._push({})
        self._set_items(values)

    def _set_of(self, values: list[Any]) -> None:
        self._push(frozenset(self.hashed(value) for value in values))

    def _object(self, values: list[Any]) -> None:
        if not values:
            raise Refused("it makes an object of nothing")
        self._call(values[0], tuple(values[1:]))


def _plain(machine: Machine, value: Any) -> None:
    machine._push(value)


def _tuple(count: int) -> Callable[[Machine, Any], None]:
    def step(machine: Machine, _: Any) -> None:
        values = [machine._pop() for _ in range(count)]
        machine._push(tuple(reversed(values)))

    return step


def _reduce(machine: Machine, _: Any) -> None:
    arguments, function = machine._pop(), machine._pop()
    machine._call(function, arguments)


def _new_with_keywords(machine: Machine, _: Any) -> None:
    named, arguments, kind = machine._pop(), machine._pop(), machine._pop()
    machine._call(kind, arguments, named)


def _setitem(machine: Machine, _: Any) -> None:
    value, key = machine._pop(), machine._pop()
    machine._set_items([key, value])


def _stack_symbol(machine: Machine, _: Any) -> None:
    name, module = machine._pop(), machine._pop()
    machine._symbol(module, name)


def _marked_tuple(machine: Machine) -> None:
    machine._push(tuple(machine._pop_mark()))


def _named(machine: Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")  # as genops gives the two lines of GLOBAL and INST
    machine._symbol(module, name)


def _instance(machine: Machine, argument: str) -> None:
    values = machine._pop_mark()
    _named(machine, argument)
    machine._call(machine._pop(), tuple(values))


def _pop_any(machine: Machine, _: Any) -> None:
    if not machine.stack:
        raise Refused("an operation finds nothing to work on")
    machine.stack.pop()


_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
)
_STEPS: dict[str, Callable[[Machine, Any], None]] = {
    **{name: _plain for name in _VALUES},
    "BYTEARRAY8": lambda machine, value: machine._push(bytes(value)),
    "NONE": lambda machine, _: machine._push(None),
    "NEWTRUE": lambda machine, _: machine._push(True),
    "NEWFALSE": lambda machine, _: machine._push(False),
    "PROTO": lambda machine, _: None,
    "FRAME": lambda machine, _: None,
    "MARK": lambda machine, _: machine.stack.append(_MARK),
    "POP": _pop_any,
    "POP_MARK": lambda machine, _: machine._drop(machine._pop_mark()),
    "DUP": lambda machine, _: machine._push(machine._top()),
    "EMPTY_LIST": lambda machine, _: machine._push([]),
    "EMPTY_DICT": lambda machine, _: machine._push({}),
    "EMPTY_TUPLE": lambda machine, _: machine._push(()),
    "EMPTY_SET": lambda machine, _: machine._push(set()),
    "LIST": lambda machine, _: machine._push(machine._pop_mark()),
    "DICT": lambda machine, _: machine._dict_of(machine._pop_mark()),
    "TUPLE": lambda machine, _: _marked_tuple(machine),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "FROZENSET": lambda machine, _: machine._set_of(machine._pop_mark()),
    "APPEND": lambda machine, _: machine._append([machine._pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._pop_mark()),
    "SETITEM": _setitem,
    "SETITEMS": lambda machine, _: machine._set_items(machine._pop_mark()),
    "ADDITEMS": lambda machine, _: machine._add_items(machine._pop_mark()),
    "GLOBAL": _named,
    "STACK_GLOBAL": _stack_symbol,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_with_keywords,
    "OBJ": lambda machine, _: machine._object(machine._pop_mark()),
    "INST": _instance,
    "BUILD": lambda machine, _: machine._build(),
    "PERSID": lambda machine, pid: machine._push(machine.dialect.load_persistent(pid)),
    "BINPERSID": lambda machine, _: machine._push(machine.dialect.load_persistent(machine._pop())),
    "PUT": lambda machine, place: machine._put(place),
    "BINPUT": lambda machine, place: machine._put(place),
    "LONG_BINPUT": lambda machine, place: machine._put(place),
    "MEMOIZE": lambda machine, _: machine._put(len(machine.memo)),
    "GET": lambda machine, place: machine._get(place),
    "BINGET": lambda machine, place: machine._get(place),
    "LONG_BINGET": lambda machine, place: machine._get(place),
}


def read_pickle(stream: BoundedStream, dialect: Dialect, budget: Budget) -> Any:
    """The value of the pickle that begins where `stream` stands, built by `dialect` within `budget`.

    Raises Refused, whatever the bytes are.
    """
    try:
        value = Machine(dialect, budget).run(stream)
        if isinstance(value, Symbol):
            raise asks_for(value)
        return value
    except Refused:
        raise
    except (ValueError, TypeError, EOFError, UnicodeError, OverflowError, MemoryError, IndexError) as error:
        raise Refused((str(error).strip().splitlines() or [type(error).__name__])[0][:120]) from error
