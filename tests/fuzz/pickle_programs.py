"""Make pickles operation by operation: values that weight files hold, with odd types, shapes, references and states."""

from __future__ import annotations

import pickletools
import struct
from collections.abc import Callable
from random import Random

from scripts.stress.mutations import EXTREMES
from vidinv.weights.unpickling.machine import Budget
from vidinv.weights.unpickling.tensors import CONSTANTS, constructors

LARGEST = 1 << 20  # bytes of operations that are repeated
DEEPEST = 5  # calls and containers inside each other
SYMBOLS = (
    *constructors(Budget(0), lambda content: None),
    *CONSTANTS,
    ("numpy", "ndarray"),
    ("os", "system"),
    ("builtins", "getattr"),
    ("yacs.config", "CfgNode"),
    ("__torch__.models", "Net"),
)
WORDS = (
    *("f4", "<f8", ">i2", "|b1", "O8", "V8", "U9", "M8", "f4,f4", "latin1", "storage", "0", "1", "cpu", "a", ""),
    *("_parameters", "_buffers", "_modules", "state", "g_ema", "state_dict", "latent_avg", "conv1.weight", "\udcff"),
    *("C", "F", "K", "little_endian", "x" * 70000),
)
NUMBERS = (*EXTREMES, -1, 2, 3, 4, 8, 16, 1 << 31, 1 << 40, 1 << 63, 1 << 64, -(1 << 63), 10**30)
PIECES: tuple[bytes, ...] = (
    *(info.code.encode("latin-1") for info in pickletools.opcodes),
    *(b"q\x00", b"h\x00", b"r\xff\xff\xff\x7f", b"j\x00\x00\x00\x00", b"K\x01", b"U\x01a", b"I01\n", b"I1\n", b"L9L\n"),
    *(b"F1e999\n", b"Fnan\n", b"S'a'\n", b"S'\\x'\n", b"V\\ud800\n", b"g0\n", b"p0\n", b"cos\nsystem\n", b"ios\nf\n"),
    *(b"\x8a\xff" + b"\xff" * 255, b"\x8b\xff\xff\xff\x7f", b"\x8e" + b"\xff" * 8, b"\x95" + b"\xff" * 8, b"\x82\x01"),
    *(
        b"\x97",
        b"\x98",
        b"P0\n",
        b"Q",
        b"\x93",
        b"\x92",
        b"\x81",
        b"\x8f",
        b"\x90",
        b"\x91",
        b"0",
        b"1",
        b"2",
        b".",
        b"(",
    ),
)


def program(chance: Random) -> bytes:
    """A pickle; now and then with single operations, which need not fit, between its parts."""
    body = value(chance, 0)
    if chance.random() < 0.3:
        at = chance.randrange(len(body) + 1)
        body = body[:at] + b"".join(chance.choice(PIECES) for _ in range(chance.randrange(1, 8))) + body[at:]
    if chance.random() < 0.1:
        repeated = value(chance, DEEPEST - 1)
        body += repeated * min(chance.choice((10, 1000, 20_000)), LARGEST // len(repeated)) + b"." * chance.randrange(2)
    return b"\x80" + bytes([chance.choice((2, 3, 4, 5))]) + body + b"."


def value(chance: Random, depth: int) -> bytes:
    """The operations that leave one value on the stack."""
    simple = (_number, _word, _bytes, _constant, _symbol, _remembered)
    nested = (_list, _dict, _tuple, _call, _call, _array, _tensor, _built, _set, _network)
    made = chance.choice(simple if depth >= DEEPEST else (*simple, *nested))(chance, depth + 1)
    return made + b"q" + bytes([chance.randrange(8)]) if chance.random() < 0.2 else made


def number(integer: int) -> bytes:
    """A whole number of any size."""
    if -(1 << 31) <= integer < 1 << 31:
        return b"J" + struct.pack("<i", integer)
    content = integer.to_bytes(integer.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def text(word: str) -> bytes:
    """A string."""
    content = word.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(content)) + content


def content_of(data: bytes) -> bytes:
    """Bytes."""
    return b"B" + struct.pack("<I", len(data)) + data


def named(module: str, name: str) -> bytes:
    """What a file refers to by its name."""
    return f"c{module}\n{name}\n".encode("latin-1")


def call(function: bytes, *arguments: bytes) -> bytes:
    """A function of the table called with values."""
    return function + b"(" + b"".join(arguments) + b"tR"


def _number(chance: Random, depth: int) -> bytes:
    return number(chance.choice(NUMBERS)) if chance.random() < 0.9 else b"G" + chance.randbytes(8)


def _word(chance: Random, depth: int) -> bytes:
    return text(chance.choice(WORDS))


def _bytes(chance: Random, depth: int) -> bytes:
    return content_of(chance.randbytes(chance.choice((0, 1, 8, 16, 64))))


def _constant(chance: Random, depth: int) -> bytes:
    return chance.choice((b"N", b"\x88", b"\x89", b"}", b"]", b")", b"\x8f"))


def _symbol(chance: Random, depth: int) -> bytes:
    return named(*chance.choice(SYMBOLS))


def _remembered(chance: Random, depth: int) -> bytes:
    return b"h" + bytes([chance.randrange(8)])


def _many(chance: Random, depth: int, most: int = 4) -> list[bytes]:
    return [value(chance, depth) for _ in range(chance.randrange(most + 1))]


def _list(chance: Random, depth: int) -> bytes:
    return b"](" + b"".join(_many(chance, depth)) + b"e"


def _dict(chance: Random, depth: int) -> bytes:
    keys = [_word if chance.random() < 0.9 else value for _ in range(chance.randrange(4))]
    return b"}(" + b"".join(key(chance, depth) + value(chance, depth) for key in keys) + b"u"


def _tuple(chance: Random, depth: int) -> bytes:
    return b"(" + b"".join(_many(chance, depth)) + b"t"


def _set(chance: Random, depth: int) -> bytes:
    return b"\x8f(" + b"".join(_many(chance, depth)) + b"\x90"


def _call(chance: Random, depth: int) -> bytes:
    made = b"(" + b"".join(_many(chance, depth)) + b"t"
    return _symbol(chance, depth) + made + chance.choice((b"R", b"\x81", b"}\x92"))


def _built(chance: Random, depth: int) -> bytes:
    return value(chance, depth) + value(chance, depth) + b"b"


def _shape(chance: Random, plain: tuple[int, ...]) -> bytes:
    """A tuple of these numbers; now and then one of them is extreme."""
    given = list(plain)
    if given and chance.random() < 0.3:
        given[chance.randrange(len(given))] = chance.choice(NUMBERS)
    return b"(" + b"".join(map(number, given)) + b"t"


def _array(chance: Random, depth: int) -> bytes:
    """An array of numpy, as numpy pickles it, with one odd part."""
    kind = call(named("numpy", "dtype"), text(chance.choice(WORDS[:9])), b"\x89", b"\x88")
    if chance.random() < 0.7:
        state = number(3) + text(chance.choice("<>|=")) + b"NNN" + number(-1) * 2 + number(0)
        kind += b"(" + state + b"tb"
    if chance.random() < 0.3:
        return call(named("numpy.core.multiarray", "scalar"), kind, _bytes(chance, depth))
    start = call(named("numpy._core.multiarray", "_reconstruct"), named("numpy", "ndarray"), b"K\x00\x85", b"C\x01b")
    data = content_of(bytes(chance.choice((0, 16, 32, 64))))
    return start + b"(" + number(1) + _shape(chance, (2, 4)) + kind + chance.choice((b"\x88", b"\x89")) + data + b"tb"


def _storage(chance: Random, depth: int) -> bytes:
    kind = named("torch", chance.choice(("FloatStorage", "HalfStorage", "LongStorage", "BoolStorage")))
    count = chance.choice((4, 4, 4, 0, 1, *NUMBERS))
    return b"(" + text("storage") + kind + text(chance.choice("0001")) + text("cpu") + number(count) + b"tQ"


def _tensor(chance: Random, depth: int) -> bytes:
    """A tensor of torch, as torch pickles it, over the storage "0" or "1"."""
    sizes, steps = chance.choice((((4,), (1,)), ((2, 2), (2, 1)), ((3, 4), (0, 1)), ((), ()), ((1 << 20, 8), (0, 0))))
    parts = (_storage(chance, depth), number(chance.choice((0, 0, 0, *NUMBERS))), _shape(chance, sizes))
    made = call(named("torch._utils", "_rebuild_tensor_v2"), *parts, _shape(chance, steps), b"\x89", b"}")
    if chance.random() < 0.2:
        return call(named("torch._utils", "_rebuild_parameter"), made, b"\x88", b"}")
    return made


def _network(chance: Random, depth: int) -> bytes:
    """A network that was pickled as an object, whose modules may be values made before."""
    parts: tuple[tuple[str, Callable[[Random, int], bytes]], ...]
    parts = (("_parameters", _dict), ("_buffers", _dict), ("_modules", _dict))
    state = b"}(" + b"".join(text(name) + part(chance, depth) for name, part in parts) + b"u"
    meta = b"}(" + text("state") + state + b"u"
    return call(named("torch_utils.persistence", "_reconstruct_persistent_obj"), meta)
