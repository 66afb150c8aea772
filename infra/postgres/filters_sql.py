"""A typed filter as SQL. Fields come from the list's own columns and every value is bound (api.md 2.2)."""

import operator
from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import ARRAY, ColumnElement, SQLColumnExpression, and_, any_, func, literal, not_, or_

from domain.filters import Among, And, Compare, Field, Filter, Match, Matches, Not, Operand, Operator, Or, Value
from infra.postgres.list_columns import TYPES, ListColumns, bound, lowered, seen

_COMPARISONS: Final[dict[Operator, Callable[[Any, Any], Any]]] = {
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
}


def holds(term: Filter, columns: ListColumns) -> ColumnElement[bool]:
    """True, false or null, where null stands for unknown."""
    match term:
        case Compare():
            return _compared(term, columns)
        case Among():
            return _among(term, columns)
        case Matches():
            return _matched(term, columns)
        case Not():
            return not_(holds(term.term, columns))
        case And():
            return and_(*(holds(part, columns) for part in term.terms))
        case Or():
            return or_(*(holds(part, columns) for part in term.terms))


def _compared(term: Compare, columns: ListColumns) -> ColumnElement[bool]:
    if term.operator is Operator.EQ:
        return _equal(term.operand, term.value, columns)
    if term.operator is Operator.NE:
        return not_(_equal(term.operand, term.value, columns))
    compare = _COMPARISONS[term.operator]
    found: ColumnElement[bool] = compare(_seen(term.operand, columns), bound(term.operand.field, term.value))
    return found


def _equal(operand: Operand, value: Value, columns: ListColumns) -> ColumnElement[bool]:
    subject = _seen(operand, columns)
    if value is None:
        return subject.is_(None)
    return _known(operand.field, subject == bound(operand.field, value), subject)


def _among(term: Among, columns: ListColumns) -> ColumnElement[bool]:
    field, subject = term.operand.field, _seen(term.operand, columns)
    values = [value for value in term.values if value is not None]
    found = subject == any_(literal(values, ARRAY(TYPES[field.kind])))
    return or_(found, subject.is_(None)) if None in term.values else _known(field, found, subject)


def _known(field: Field, found: ColumnElement[bool], subject: SQLColumnExpression[Any]) -> ColumnElement[bool]:
    """Never null: a null is simply not equal, under `not` as well."""
    return and_(found, subject.is_not(None)) if field.nullable else found


def _matched(term: Matches, columns: ListColumns) -> ColumnElement[bool]:
    subject, text = _seen(term.operand, columns), bound(term.operand.field, term.text)
    match term.match:
        case Match.CONTAINS:
            return func.strpos(subject, text) > 0
        case Match.STARTS:
            return func.starts_with(subject, text)
        case Match.ENDS:
            return func.right(subject, len(term.text)) == text


def _seen(operand: Operand, columns: ListColumns) -> SQLColumnExpression[Any]:
    return lowered(operand.field, columns) if operand.lowered else seen(operand.field, columns)
