"""Which configurations the ttnn code of a model is made for, asked before the first tensor is read.

Some fields of a config.json name one of several ways to compute, an activation for one, and the code here goes one of
them. A folder that wants another would load, run and be wrong. So each model says what it is made for (`made_for`),
and one check refuses the rest in a sentence with the field, its value and what works.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """What a field may hold: `holds(value, config)` says whether it does, `works` says in words what would."""

    works: str
    holds: Callable[[Any, dict], bool]


def one_of(*values) -> Rule:
    return Rule(" or ".join(map(repr, values)), lambda value, config: value in values)


def multiples_of(number: int) -> Rule:
    """For a number, or a list of them."""
    numbers = lambda value: value if isinstance(value, (list, tuple)) else [value]
    return Rule(
        f"multiples of {number}",
        lambda value, config: all(isinstance(n, int) and n > 0 and n % number == 0 for n in numbers(value)),
    )


def same_as(other: str) -> Rule:
    return Rule(f"None, or the same as {other}", lambda value, config: value is None or value == config.get(other))


def one_for_each(other: str) -> Rule:
    """For a list with a number for each of the channels that another field counts, or None."""
    return Rule(
        f"None, or as many numbers as {other} says",
        lambda value, config: value is None or len(value) == config.get(other, len(value)),
    )


def product_of(number: int) -> Rule:
    return Rule(f"numbers whose product is {number}", lambda value, config: math.prod(value) == number)


NOT_ZERO = Rule("a number that is not 0", lambda value, config: isinstance(value, (int, float)) and value != 0)


def check_config(config: dict, made_for: dict[str, Rule], name: str) -> None:
    """Raises ValueError for the first field with a value that the code is not made for; a missing field has the
    reference's default, which it is made for. name: whose config it is, in the sentence."""
    for field, rule in made_for.items():
        if field in config and not rule.holds(config[field], config):
            raise ValueError(f"{name}: {field} is {config[field]!r}. What works here is {rule.works}.")
