"""Protocol buffers' wire format, written and read; docs of protobuf.dev have the bytes."""

import struct

import pytest

from cnncli.protobuf import DamagedError, fields, integers, put_bytes, put_double, put_integer, signed, varint


def test_what_is_written_are_the_bytes_of_the_documentation():
    assert put_integer(1, 150) == bytes.fromhex("089601")
    assert put_bytes(2, "testing") == bytes.fromhex("120774657374696e67")
    assert put_bytes(3, put_integer(1, 150)) == bytes.fromhex("1a03089601")
    assert put_double(1, 1.0) == b"\x09" + struct.pack("<d", 1.0)
    assert varint(-2) == bytes.fromhex("feffffffffffffffff01")
    assert varint(0) == b"\0"
    assert put_integer(16, 1) == bytes.fromhex("800101")


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**31, 2**63 - 1, -1, -(2**63)])
def test_an_integer_is_read_as_it_was_written(value):
    ((number, read),) = fields(memoryview(put_integer(5, value)))
    assert (number, signed(read)) == (5, value)
    assert integers(memoryview(varint(value) * 2)) == [value, value]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_message_that_is_cut_off_is_damaged(cut):
    with pytest.raises(DamagedError):
        list(fields(memoryview(put_bytes(2, "testing")[:-cut])))
