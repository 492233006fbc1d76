from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.adapters.partitioner import crc32_partition, murmur2, murmur2_partition, murmur2_partitions


# Kafka's own vectors: UtilsTest.testMurmur2, as signed 32-bit numbers.
@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_murmur2_gives_the_numbers_of_java(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@given(st.lists(st.binary(max_size=70), max_size=40), st.integers(1, 1000))
def test_many_keys_at_once_land_where_each_one_does(keys: list[bytes], partitions: int) -> None:
    assert murmur2_partitions(keys, partitions).tolist() == [murmur2_partition(key, partitions) for key in keys]


def test_crc32_is_the_ieee_checksum_taken_unsigned() -> None:
    assert crc32_partition(b"123456789", 2**32) == 0xCBF43926  # the check value of CRC-32/ISO-HDLC
    assert crc32_partition(b"123456789", 6) == 0xCBF43926 % 6
