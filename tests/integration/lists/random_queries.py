"""Rows that tie, lack values and are written in many scripts, and queries that care."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

from domain.filters import (
    Among,
    And,
    Compare,
    Field,
    Filter,
    Kind,
    ListShape,
    Match,
    Matches,
    Not,
    Operand,
    Operator,
    Or,
    OrderKey,
    Value,
)

LETTERS: Final = (*"aAbBzZ09 %_\\'\"", *"éÉßİΣσςΩЖж", "\u212a", "\ue000", "\uffee", "日", "😀", "e\u0301", "\U0001d49c")
"""Cases, wildcards, quotes, and characters whose order by code point is not that of UTF-16 or of any language."""

_NOON: Final = datetime(2026, 5, 4, 12, tzinfo=UTC)
_MOMENTS: Final = tuple(_NOON + timedelta(microseconds=step) for step in (0, 1, 2, 500_000, 86_400_000_000))


def a_text(chance: random.Random) -> str:
    return "".join(chance.choices(LETTERS, k=chance.choice((0, 1, 1, 1, 2, 3))))


def a_moment(chance: random.Random) -> datetime:
    return chance.choice(_MOMENTS)


def an_order(chance: random.Random, shape: ListShape) -> tuple[OrderKey, ...]:
    fields = chance.sample(shape.fields, k=chance.choice((1, 1, 2, 3, len(shape.fields))))
    return shape.total([OrderKey(field, descending=chance.random() < 0.5) for field in fields])


def a_filter(chance: random.Random, shape: ListShape, known: Sequence[UUID], depth: int = 3) -> Filter:
    if depth == 0 or chance.random() < 0.35:
        return _a_condition(chance, chance.choice(shape.fields), known)
    if chance.random() < 0.3:
        return Not(a_filter(chance, shape, known, depth - 1))
    terms = tuple(a_filter(chance, shape, known, depth - 1) for _ in range(chance.choice((2, 2, 3))))
    return chance.choice((And, Or))(terms)


def _a_condition(chance: random.Random, field: Field, known: Sequence[UUID]) -> Filter:
    operand = Operand(field, lowered=field.kind is Kind.STRING and chance.random() < 0.3)
    choice = chance.random()
    if field.kind is Kind.STRING and choice < 0.4:
        return Matches(operand, chance.choice(list(Match)), a_text(chance))
    if choice < 0.6:
        values = {_a_value(chance, field, known) for _ in range(chance.choice((1, 2, 4)))}
        return Among(operand, tuple(values))
    operators = (Operator.EQ, Operator.NE) if field.kind is Kind.BOOL else tuple(Operator)
    picked = chance.choice(operators)
    value = _a_value(chance, field, known)
    if value is None and picked not in {Operator.EQ, Operator.NE}:
        picked = Operator.NE
    return Compare(operand, picked, value)


def _a_value(chance: random.Random, field: Field, known: Sequence[UUID]) -> Value:
    if field.nullable and chance.random() < 0.2:
        return None
    some: dict[Kind, Sequence[Value]] = {
        Kind.STRING: ("user", "assistant", a_text(chance), a_text(chance)),
        Kind.UUID: (*known, UUID(int=chance.getrandbits(128))),
        Kind.TIME: [a_moment(chance) + timedelta(microseconds=step) for step in (-1, 0, 0, 1)],
        Kind.INTEGER: (-(2**63), 0, 2**63 - 1, *range(1, 10_000, 100)),
        Kind.BOOL: (True, False),
    }
    return chance.choice(some[field.kind])
