import pytest

from ringfence.model.outside import AddressRange, merge, parse_range


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("0.0.0.0-255.255.255.255", "0.0.0.0/0"),
        ("10.0.0.0-10.255.255.255", "10.0.0.0/8"),
        ("10.0.0.0-10.0.0.2", "10.0.0.0-10.0.0.2"),
        ("10.0.0.1-10.0.0.2", "10.0.0.1-10.0.0.2"),
        ("10.0.0.1-10.0.0.1", "10.0.0.1"),
        ("::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::/0"),
        ("2001:db8::-2001:db8::ffff", "2001:db8::/112"),
    ],
)
def test_a_range_reads_back_and_is_short_where_it_is_a_block(name: str, short: str) -> None:
    parsed = parse_range(name)
    assert parsed
    assert (str(parsed), parsed.short) == (name, short)
    assert parse_range(short) == parsed


@pytest.mark.parametrize(
    "name", ["api.example", "shop/web", "10.0.0.2-10.0.0.1", "10.0.0.1-::1", ""]
)
def test_what_is_no_range_is_none(name: str) -> None:
    assert parse_range(name) is None


def test_ranges_that_touch_or_overlap_are_joined_family_by_family() -> None:
    parts = [AddressRange(6, 0, 5), AddressRange(4, 6, 9), AddressRange(4, 0, 5)]
    assert merge([*parts, AddressRange(4, 3, 7), AddressRange(4, 11, 12)]) == [
        AddressRange(4, 0, 9),
        AddressRange(4, 11, 12),
        AddressRange(6, 0, 5),
    ]
