"""Pickles read as data: the operations that build plain values and arrays of bytes; nothing is imported or called.

A pickle is a program for a machine with a stack and a memo. This one knows the operations that Python 2 used for
dictionaries, lists, tuples, numbers, strings and NumPy arrays of bytes. A name of Python's stands for itself, as text;
any other operation ends the reading.
"""

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from duogen.errors import UserError

NAMES = ("numpy.core.multiarray _reconstruct", "numpy ndarray", "numpy dtype")


class NotPlainError(Exception):
    """The pickle asks for more than plain data."""


@dataclass(frozen=True)
class Name:
    """A name that the pickle gives; only its text is known here."""

    text: str


@dataclass(frozen=True, eq=False)
class Blank:
    """An array whose content the pickle has not given yet."""


MARK, BYTES = Name("mark"), Name("unsigned bytes")


def read_pickle(content: bytes, what: str) -> Any:
    """The plain values that a pickle of protocol 1 or 2 holds: strings of Python 2 as Latin-1 text, arrays of uint8.

    Raises:
        UserError: the pickle is damaged or asks for anything else; it names `what` was read. Nothing was executed.
    """
    machine = Machine()
    try:
        for code, argument, _ in pickletools.genops(content):
            machine.do(code.name, argument)
        return machine.pop()
    except NotPlainError as error:
        raise UserError(
            f"{what} asks for {error}; nothing of it was executed",
            "a pickle of plain values and arrays of bytes",
            f"delete {what} and fetch it again from its authors",
        ) from error
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(f"{what} is no whole pickle: {error}", "a whole file", f"fetch {what} again") from error


class Machine:
    """The stack and the memo, and what each known operation does to them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, name: str, argument: Any) -> None:
        """Raises NotPlainError for an operation, a name or a call that plain data does not need."""
        if name in PUSHED:
            self.stack.append(argument)
        elif name in OPERATIONS:
            OPERATIONS[name](self, argument)
        else:
            raise NotPlainError(f"the operation {name}")

    def pop(self) -> Any:
        return self.stack.pop()

    def since_mark(self) -> list[Any]:
        """Takes what lies above the last mark, and the mark."""
        at = max(index for index, value in enumerate(self.stack) if value is MARK)
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def append(self, values: list[Any]) -> None:
        list.extend(self.stack[-1], values)

    def put(self, values: list[Any]) -> None:
        for key, value in zip(values[::2], values[1::2], strict=True):
            dict.__setitem__(self.stack[-1], key if isinstance(key, int) else str.__str__(key), value)

    def pair(self, count: int) -> None:
        """The last `count` values as one tuple."""
        if count > len(self.stack):
            raise IndexError("a tuple of more than there is")
        kept = len(self.stack) - count
        self.stack[kept:] = [tuple(self.stack[kept:])]

    def name(self, text: str) -> None:
        if text not in NAMES:
            raise NotPlainError(f"the name {text}")
        self.stack.append(Name(text))

    def call(self) -> None:
        """The two calls that begin an array, recognised and not made."""
        arguments, called = self.pop(), self.pop()
        if called == Name(NAMES[0]) and arguments == (Name(NAMES[1]), (0,), "b"):
            self.stack.append(Blank())
        elif called == Name(NAMES[2]) and arguments == ("u1", 0, 1):
            self.stack.append(BYTES)
        else:
            raise NotPlainError("a call that no array of bytes needs")

    def fill(self) -> None:
        """Gives an array its content, wherever the memo knows it; a type of bytes needs no more than its name."""
        state, blank = self.pop(), self.stack[-1]
        if isinstance(blank, Blank):
            array = array_of(state)
            self.stack[-1] = array
            self.memo.update({at: array for at, value in self.memo.items() if value is blank})
        elif blank is not BYTES:
            raise NotPlainError("the state of an object")


def array_of(state: Any) -> np.ndarray:
    """The uint8 array of a state (version, shape, type, whether columns come first, bytes as Latin-1 text)."""
    _, shape, kind, columns_first, text = state
    raw = str.encode(text, "latin-1")
    if kind is not BYTES or not all(type(side) is int and side >= 0 for side in shape) or math.prod(shape) != len(raw):
        raise NotPlainError("an array that is not one of bytes, as many as its shape says")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if columns_first else "C")


PUSHED = {"BININT", "BININT1", "BININT2", "INT", "SHORT_BINSTRING", "BINSTRING", "BINUNICODE"}

OPERATIONS: dict[str, Callable[[Machine, Any], None]] = {
    "PROTO": lambda machine, version: None,
    "STOP": lambda machine, _: None,
    "NONE": lambda machine, _: machine.stack.append(None),
    "NEWTRUE": lambda machine, _: machine.stack.append(True),
    "NEWFALSE": lambda machine, _: machine.stack.append(False),
    "MARK": lambda machine, _: machine.stack.append(MARK),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_TUPLE": lambda machine, _: machine.pair(0),
    "TUPLE1": lambda machine, _: machine.pair(1),
    "TUPLE2": lambda machine, _: machine.pair(2),
    "TUPLE3": lambda machine, _: machine.pair(3),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.since_mark())),
    "APPEND": lambda machine, _: machine.append([machine.pop()]),
    "APPENDS": lambda machine, _: machine.append(machine.since_mark()),
    "SETITEM": lambda machine, _: machine.put([machine.pop(), machine.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.put(machine.since_mark()),
    "BINPUT": lambda machine, at: machine.memo.update({at: machine.stack[-1]}),
    "LONG_BINPUT": lambda machine, at: machine.memo.update({at: machine.stack[-1]}),
    "BINGET": lambda machine, at: machine.stack.append(machine.memo[at]),
    "LONG_BINGET": lambda machine, at: machine.stack.append(machine.memo[at]),
    "GLOBAL": lambda machine, text: machine.name(text),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.fill(),
}
