"""Columns as the contract has them (Arrow's buffers, little-endian) and as Python has them."""

import datetime
import decimal
import math
import re
from array import array
from dataclasses import dataclass
from itertools import accumulate
from typing import Optional

NUMBERS = {"int8": "b", "int16": "h", "int32": "i", "int64": "q", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q",
           "float32": "f", "float64": "d"}
# The types whose values are numbers of this kind in memory.
_STORED = {**NUMBERS, "date32": "i", "time64-us": "q", "timestamp-us": "q"}
_DECIMALS = {"decimal128": (16, 38), "decimal256": (32, 76)}
_DAY_ZERO = datetime.date(1970, 1, 1)
_ZERO = datetime.datetime(1970, 1, 1)
_UTC_ZERO = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)

# The widest decimal of the contract has 76 digits; Python's own context would round at 28.
_EXACT = decimal.Context(prec=160, traps=[decimal.InvalidOperation])
decimal.getcontext().prec = 76


@dataclass(frozen=True)
class Field:
    """A column of a table: its name, its type in the contract's words (`"int64"`, `"decimal128(10, 2)"`), whether it may be NULL."""
    name: str
    type: str
    nullable: bool = True


def parse_type(text):
    """A type's kind and its arguments: `"decimal128(10, 2)"` is `("decimal128", [10, 2])`."""
    match = re.fullmatch(r"([a-z0-9-]+)(?:\(([^()]*)\))?", text)
    if not match or not (match[1] in _STORED or match[1] in _DECIMALS or match[1] in ("boolean", "utf8", "binary", "fixed-binary", "float32-list")):
        raise ValueError(f"`{text}` is no type of the contract")
    arguments = [argument.strip() for argument in match[2].split(",")] if match[2] else []
    return match[1], arguments if match[1] == "timestamp-us" else [int(argument) for argument in arguments]


def unpack_bits(data, rows):
    """A bitmap's first bits, least significant first, as a text of `0` and `1`."""
    return format(int.from_bytes(data, "little"), f"0{max(rows, 1)}b")[::-1][:rows]


def pack_bits(flags):
    """A bitmap of these truths."""
    if not flags:
        return b""
    text = "".join(["1" if flag else "0" for flag in reversed(flags)])
    return int(text, 2).to_bytes((len(flags) + 7) // 8, "little")


@dataclass
class Column:
    """One Arrow array. `validity` is a bitmap or None (no NULLs), `offsets` has rows + 1 numbers of 4 bytes for text, bytes and lists."""
    type: str
    rows: int
    validity: Optional[bytes]
    offsets: bytes
    data: bytes

    @classmethod
    def of(cls, kind, values, nullable=True):
        """A column of a list of Python's values; `ValueError` if one doesn't fit the type."""
        column, bad = cls.from_list(kind, values, nullable)
        if bad:
            raise ValueError(f"row {bad[0][0]}: {bad[0][1]}")
        return column

    @classmethod
    def from_list(cls, kind, values, nullable=True, unused=()):
        """The same, with the rows that don't fit as pairs of number and reason; their cells, and those of `unused` rows, are NULL or empty."""
        name, arguments = parse_type(kind)
        missing = [number for number, value in enumerate(values) if value is None]
        bad = []
        if missing and not nullable:
            skipped = set(unused)
            bad = [(number, "NULL where none is allowed") for number in missing if number not in skipped]
        empty = _empty(name, arguments)
        filled = [empty if value is None else value for value in values] if missing else list(values)
        try:
            offsets, data = _encode(name, arguments, filled)
        except (ValueError, TypeError, OverflowError, AttributeError, decimal.DecimalException):
            for number, value in enumerate(filled):
                try:
                    _encode(name, arguments, [value])
                except (ValueError, TypeError, OverflowError, AttributeError, decimal.DecimalException) as cause:
                    bad.append((number, str(cause) if isinstance(cause, Misfit) else f"a {type(value).__name__} that is no {kind}"))
                    filled[number] = empty
            offsets, data = _encode(name, arguments, filled)
        validity = None
        if nullable and (missing or bad):
            gone = {*missing, *(number for number, _ in bad)}
            validity = pack_bits([number not in gone for number in range(len(values))])
        return cls(kind, len(values), validity, offsets, data), sorted(bad)

    def values(self):
        """The numbers in memory, NULLs included, without a copy: days for date32, microseconds for times. For types of fixed size but decimals."""
        return memoryview(self.data).cast(_STORED[parse_type(self.type)[0]])

    def to_list(self):
        """Python's values, None for NULL."""
        name, arguments = parse_type(self.type)
        values = _decode(name, arguments, self.rows, self.offsets, self.data, self.validity)
        if self.validity is None:
            return values
        return [value if bit == "1" else None for bit, value in zip(unpack_bits(self.validity, self.rows), values)]


class Misfit(ValueError):
    """Why a value is none of its column's type, in words that don't repeat the value."""


def _empty(name, arguments):
    if name in _DECIMALS:
        return decimal.Decimal(0)
    return {"boolean": False, "float32": 0.0, "float64": 0.0, "date32": _DAY_ZERO, "time64-us": datetime.timedelta(),
            "timestamp-us": _UTC_ZERO if arguments else _ZERO, "utf8": "", "binary": b"", "float32-list": (),
            "fixed-binary": bytes(arguments[0]) if name == "fixed-binary" else b""}.get(name, 0)


def _decode(name, arguments, rows, offsets, data, validity):
    if name == "boolean":
        return [bit == "1" for bit in unpack_bits(data, rows)]
    if name in NUMBERS:
        return memoryview(data).cast(NUMBERS[name]).tolist()
    if name in _DECIMALS:
        width, scale = _DECIMALS[name][0], -arguments[1]
        whole = [int.from_bytes(data[at:at + width], "little", signed=True) for at in range(0, rows * width, width)]
        return [decimal.Decimal(number).scaleb(scale, _EXACT) for number in whole]
    if name == "fixed-binary":
        width = arguments[0]
        return [data[at:at + width] for at in range(0, rows * width, width)]
    if name in _STORED:
        numbers = memoryview(data).cast(_STORED[name]).tolist()
        if validity is not None:
            # What stands where a NULL is may be anything, also no date.
            numbers = [number if bit == "1" else 0 for bit, number in zip(unpack_bits(validity, rows), numbers)]
        return _moments(name, arguments, numbers)
    bounds = memoryview(offsets).cast("i").tolist()
    pairs = zip(bounds, bounds[1:])
    if name == "utf8":
        if data.isascii():
            text = data.decode("ascii")
            return [text[start:end] for start, end in pairs]
        return [data[start:end].decode() for start, end in pairs]
    if name == "binary":
        return [data[start:end] for start, end in pairs]
    floats = memoryview(data).cast("f").tolist()
    return [floats[start:end] for start, end in pairs]


def _moments(name, arguments, numbers):
    delta = datetime.timedelta
    if name == "time64-us":
        return [delta(microseconds=number) for number in numbers]
    try:
        if name == "date32":
            return [_DAY_ZERO + delta(number) for number in numbers]
        zero = _UTC_ZERO if arguments else _ZERO
        return [zero + delta(microseconds=number) for number in numbers]
    except OverflowError:
        raise ValueError("a date before the year 1 or after 9999: Python has none; read the column as text") from None


def _encode(name, arguments, values):
    """Offsets and data; an error if one value doesn't fit."""
    if name == "boolean":
        if not {bool}.issuperset(map(type, values)):
            raise Misfit("not a bool")
        return b"", pack_bits(values)
    if name in NUMBERS:
        if bool in map(type, values):
            raise Misfit("a bool where a number is expected")
        return b"", (_float32s(values) if name == "float32" else array(NUMBERS[name], values)).tobytes()
    if name in _DECIMALS:
        return b"", b"".join([_decimal(name, arguments, value) for value in values])
    if name == "fixed-binary":
        if any(len(value) != arguments[0] for value in values):
            raise Misfit(f"not {arguments[0]} bytes")
        return b"", b"".join(values)
    if name == "date32":
        if datetime.datetime in map(type, values):
            raise Misfit("a datetime where a date is expected")
        return b"", array("i", [(value - _DAY_ZERO).days for value in values]).tobytes()
    if name == "time64-us":
        return b"", array("q", [value // _MICROSECOND for value in values]).tobytes()
    if name == "timestamp-us":
        zero = _UTC_ZERO if arguments else _ZERO
        return b"", array("q", [(value - zero) // _MICROSECOND for value in values]).tobytes()
    if name == "float32-list":
        flat = array("f")
        for value in values:
            flat.extend(_float32s(list(value)))
        return _offsets(values), flat.tobytes()
    parts = [value.encode() for value in values] if name == "utf8" else values
    return _offsets(parts), b"".join(parts)


def _float32s(values):
    """The values as they are stored; `Misfit` where a finite one would be infinite."""
    stored = array("f", values)
    if any(map(math.isinf, stored)) and any(math.isinf(after) and not math.isinf(before) for before, after in zip(values, stored)):
        raise Misfit("a number beyond float32")
    return stored


def _offsets(parts):
    return array("i", accumulate(map(len, parts), initial=0)).tobytes()


def _decimal(name, arguments, value):
    precision, scale = arguments
    if isinstance(value, float):
        raise Misfit("a float where a Decimal is expected: it would not be exact")
    scaled = decimal.Decimal(value).scaleb(scale, _EXACT)
    whole = int(scaled)
    if whole != scaled:
        raise Misfit(f"more than {scale} decimal places; round it with `quantize`")
    if abs(whole) >= 10 ** precision:
        raise Misfit(f"more than {precision} digits")
    return whole.to_bytes(_DECIMALS[name][0], "little", signed=True)
