import os
import pickle
import struct

import numpy as np
import pytest

from duogen.data.pickled import read_pickle
from duogen.errors import UserError


def text(value):
    return b"U" + bytes([len(value)]) + value


def whole_number(value):
    return b"K" + bytes([value]) if value < 256 else b"M" + struct.pack("<H", value)


def array(values, order=b"\x89"):
    """An array of bytes as NumPy 1 under Python 2 pickled it, in protocol 2."""
    shape = b"".join(whole_number(side) for side in values.shape)
    raw = values.tobytes(order="F" if order == b"\x88" else "C")
    return (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85U\x01b\x87Rq\x03"
        + b"(K\x01" + (shape + b"\x86" if values.ndim == 2 else b"(" + shape + b"t")
        + b"cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87Rq\x05(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        + order + b"T" + struct.pack("<i", len(raw)) + raw + b"tb"
    )  # fmt: skip


def pickled(body):
    return b"\x80\x02" + body + b"."


def test_an_array_of_python_2_is_rebuilt():
    values = np.arange(15, dtype=np.uint8).reshape(3, 5) * 17
    found = read_pickle(pickled(array(values)), "x")
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(pickle.loads(pickled(array(values)), encoding="latin1"), values)


@pytest.mark.parametrize("shape", [(0, 4), (7,), (2, 3, 4), (300, 2)])
@pytest.mark.parametrize("order", [b"\x88", b"\x89"])
def test_arrays_of_any_shape_and_order(shape, order):
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.testing.assert_array_equal(read_pickle(pickled(array(values, order)), "x"), values)


def test_an_array_that_the_memo_knows_is_the_same_one():
    values = np.arange(4, dtype=np.uint8).reshape(2, 2)
    found = read_pickle(pickled(b"}" + text(b"a") + array(values) + b"s" + text(b"b") + b"h\x03s"), "x")
    assert found["a"] is found["b"]
    np.testing.assert_array_equal(found["b"], values)


@pytest.mark.parametrize("protocol", [1, 2])
@pytest.mark.parametrize(
    "value",
    [
        {"a": [1, 2, 300, -5, 70000], "b": ("x", None, True, False), "c": {}, "d": [], "e": (), "f": [[1]]},
        [(1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"key": "ümlaut"}],
        {index: str(index) * 3 for index in range(1200)},
        7,
    ],
)
def test_plain_values_are_what_pickle_reads(protocol, value):
    assert read_pickle(pickle.dumps(value, protocol), "x") == value


def test_strings_of_python_2_are_latin_1():
    long = bytes(range(256)) * 2
    body = b"]" + text(b"caf\xe9") + b"aT" + struct.pack("<i", len(long)) + long + b"a"
    assert read_pickle(pickled(body), "x") == ["caf\xe9", long.decode("latin-1")]


class Evil:
    """What pickle would run: creates a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def attacks(path):
    """Pickles that, read by pickle itself, would make the folder `path`, by every operation that leads to a call."""
    line = str(path).encode()
    short = text(line)
    wide = b"\x8c" + bytes([len(line)]) + line
    command = text(b"mkdir " + line)
    return {
        "GLOBAL and REDUCE": b"\x80\x02cos\nmkdir\n" + short + b"\x85R.",
        "GLOBAL of os.system": b"\x80\x02cos\nsystem\n" + command + b"\x85R.",
        "posix.mkdir": b"\x80\x02cposix\nmkdir\n" + short + b"\x85R.",
        "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x05mkdir\x93" + wide + b"\x85R.",
        "INST": b"(S'" + line + b"'\nios\nmkdir\n.",
        "OBJ": b"(cos\nmkdir\nS'" + line + b"'\no.",
        "builtins.eval": b"\x80\x02cbuiltins\neval\n" + text(b"__import__('os').mkdir('" + line + b"')") + b"\x85R.",
        "a name and then a call, inside an array": pickled(array(np.zeros((1, 2), np.uint8))[:-1] + b"cos\nmkdir\n0b"),
        "numpy's own door": b"\x80\x02cnumpy.testing._private.utils\nrunstring\n"
        + text(b"import os; os.mkdir('" + line + b"')") + b"}\x86R.",
        "under a harmless name's memo": b"\x80\x02cnumpy\nndarray\nq\x010cos\nmkdir\nq\x010h\x01" + short + b"\x85R.",
        "pickle's own protocol 4": pickle.dumps(Evil(path), 4),
        "pickle's own protocol 2": pickle.dumps(Evil(path), 2),
        "pickle's own protocol 0": pickle.dumps(Evil(path), 0),
        "inside a list that looks right": pickle.dumps({"data": [Evil(path)], "labels": []}, 2),
    }  # fmt: skip


RUNS = [
    "GLOBAL and REDUCE", "GLOBAL of os.system", "posix.mkdir", "STACK_GLOBAL", "INST", "OBJ", "builtins.eval",
    "under a harmless name's memo", "pickle's own protocol 4", "pickle's own protocol 2", "pickle's own protocol 0",
    "inside a list that looks right",
]  # fmt: skip


@pytest.mark.parametrize("kind", RUNS)
def test_the_attacks_are_real(kind, tmp_path):
    pickle.loads(attacks(tmp_path / "canary")[kind])
    assert (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", attacks("x"))
def test_nothing_is_executed_and_the_file_is_named(kind, tmp_path):
    with pytest.raises(UserError) as refusal:
        read_pickle(attacks(tmp_path / "canary")[kind], "some/file")
    assert not (tmp_path / "canary").exists()
    assert "some/file asks for" in refusal.value.given
    assert "nothing of it was executed" in refusal.value.given


@pytest.mark.parametrize(
    ("body", "operation"),
    [
        (b"\x82\x01", "EXT1"),
        (b"\x83\x01\x00", "EXT2"),
        (b"\x84\x01\x00\x00\x00", "EXT4"),
        (b"cnumpy\nndarray\n)\x81", "NEWOBJ"),
        (b"cnumpy\nndarray\n)}\x92", "NEWOBJ_EX"),
        (b"U\x01xQ", "BINPERSID"),
        (b"Px\n", "PERSID"),
    ],
)
def test_other_doors_are_shut(body, operation):
    with pytest.raises(UserError) as refusal:
        read_pickle(pickled(body), "x")
    assert f"the operation {operation};" in refusal.value.given


@pytest.mark.parametrize(
    "body",
    [
        b"cnumpy\nndarray\nK\x02\x85R",
        b"cnumpy\ndtype\nU\x02O8K\x00K\x01\x87R",
        b"cnumpy\ndtype\nU\x02f8K\x00K\x01\x87R",
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\ndtype\nK\x00\x85U\x01b\x87R",
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x07\x85U\x01b\x87R",
        b"K\x01K\x02\x85R",
        b"}}b",
        b"cnumpy\nndarray\n}b",
    ],
)
def test_calls_and_states_that_no_array_of_bytes_needs_are_refused(body):
    with pytest.raises(UserError, match="asks for"):
        read_pickle(pickled(body), "x")


def states():
    good = array(np.arange(6, dtype=np.uint8).reshape(2, 3))
    return {
        "fewer bytes": good.replace(b"T\x06\x00\x00\x00\x00", b"T\x05\x00\x00\x00", 1),
        "another shape": good.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86", 1),
        "a negative side": good.replace(b"K\x02K\x03\x86", b"J\xfe\xff\xff\xffJ\xfd\xff\xff\xff\x86", 1),
        "a truth for a side": good.replace(b"K\x02K\x03\x86", b"\x88K\x06\x86", 1),
        "text for a type": good.replace(b"cnumpy\ndtype\nq\x04U\x02u1K\x00K\x01\x87R", b"U\x02u1", 1),
    }


@pytest.mark.parametrize("kind", states())
def test_arrays_whose_state_does_not_fit_are_refused(kind):
    assert states()[kind] != array(np.arange(6, dtype=np.uint8).reshape(2, 3))
    with pytest.raises(UserError):
        read_pickle(pickled(states()[kind]), "x")


@pytest.mark.parametrize(
    "content",
    [
        b"", b".", b"\x80\x02.", b"hello", b"\x80\x02]", b"\x80\x02K\x01a.", b"\x80\x02h\x05.", b"\x80\x02e.",
        b"\x80\x02\x86.", b"\x80\x02K\x01\x87.", b"\x80\x02}K\x01e.", b"\x80\x02](K\x01u.", b"\x80\x02}(K\x01u.",
        b"\x80\x02}]K\x01s.", b"\x80\x02T\xff\xff\xff\x7fab.", b"\x80\x02q\x01.", b"\x80\x02Rb.",
    ],
)  # fmt: skip
def test_damaged_pickles_are_refused_and_named(content):
    with pytest.raises(UserError, match="some/file"):
        read_pickle(content, "some/file")


def test_every_prefix_of_a_whole_file_is_refused():
    whole = pickled(b"}(" + text(b"data") + array(np.zeros((2, 2), np.uint8)) + text(b"labels") + b"]K\x01au")
    assert set(read_pickle(whole, "x")) == {"data", "labels"}
    for end in range(len(whole)):
        with pytest.raises(UserError):
            read_pickle(whole[:end], "x")


def test_deep_nesting_is_refused_or_read_without_a_crash():
    deep = pickled(b"cnumpy\ndtype\n" + b")" + b"\x85" * 50_000 + b"R")
    with pytest.raises(UserError):
        read_pickle(deep, "x")
