from hypothesis import given
from hypothesis import strategies as st

from ringfence.engine import bits

NUMBERS = st.sets(st.integers(0, 3000), max_size=200)


@given(NUMBERS)
def test_members_of_a_set_are_what_it_was_made_from(numbers: set[int]) -> None:
    assert bits.members(bits.from_members(numbers)) == sorted(numbers)


@given(NUMBERS, NUMBERS)
def test_integer_operations_are_set_operations(left: set[int], right: set[int]) -> None:
    a, b = bits.from_members(left), bits.from_members(right)
    assert a & b == bits.from_members(left & right)
    assert a | b == bits.from_members(left | right)
    assert a & ~b == bits.from_members(left - right)
