"""A typed filter as SQL. Fields come from the list's own columns and every value is bound (api.md 2.2)."""

from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    BinaryExpression,
    BindParameter,
    Boolean,
    ColumnElement,
    Integer,
    and_,
    any_,
    literal_column,
    not_,
    or_,
)
from sqlalchemy.sql import operators
from sqlalchemy.sql.functions import Function
from sqlalchemy.sql.operators import OperatorType

from domain.filters import Among, And, Compare, Filter, Match, Matches, Not, Operand, Operator, Or
from infra.postgres.list_columns import TYPES, ListColumns, Shown, bound

_COMPARISONS: Final[dict[Operator, OperatorType]] = {
    Operator.EQ: operators.eq,
    Operator.NE: operators.ne,
    Operator.GT: operators.gt,
    Operator.GE: operators.ge,
    Operator.LT: operators.lt,
    Operator.LE: operators.le,
}
_STARTS: Final[OperatorType] = operators.custom_op("^@", is_comparison=True)
_ARRAYS: Final = {kind: ARRAY(type_) for kind, type_ in TYPES.items()}
_BOOLEAN: Final = Boolean()
_INTEGER: Final = Integer()
_NOWHERE: Final[ColumnElement[int]] = literal_column("0")


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
    subject = _shown(term.operand, columns)
    if term.value is None:
        return subject.unknown if term.operator is Operator.EQ else subject.known
    found = _binary(subject.value, _COMPARISONS[term.operator], bound(term.operand.field, term.value))
    match term.operator:
        case Operator.EQ:
            return _known(term.operand, found, subject)
        case Operator.NE if term.operand.field.nullable:
            return or_(found, subject.unknown)
        case _:
            return found


def _among(term: Among, columns: ListColumns) -> ColumnElement[bool]:
    subject = _shown(term.operand, columns)
    values = [value for value in term.values if value is not None]
    array = BindParameter(None, values, type_=_ARRAYS[term.operand.field.kind], unique=True)
    found = _binary(subject.value, operators.eq, any_(array))
    return or_(found, subject.unknown) if None in term.values else _known(term.operand, found, subject)


def _known(operand: Operand, found: ColumnElement[bool], subject: Shown) -> ColumnElement[bool]:
    """Never null: a null is simply not equal, under `not` as well."""
    return and_(found, subject.known) if operand.field.nullable else found


def _matched(term: Matches, columns: ListColumns) -> ColumnElement[bool]:
    subject, text = _shown(term.operand, columns).value, bound(term.operand.field, term.text)
    match term.match:
        case Match.CONTAINS:
            return _binary(Function("strpos", subject, text, type_=_INTEGER), operators.gt, _NOWHERE)
        case Match.STARTS:
            return _binary(subject, _STARTS, text)
        case Match.ENDS:
            return Function("right", subject, len(term.text), type_=text.type) == text


def _binary(left: ColumnElement[Any], compare: OperatorType, right: ColumnElement[Any]) -> ColumnElement[bool]:
    """What `left compare right` makes of expressions whose types are known, in a third of the time."""
    return BinaryExpression(left, right, compare, type_=_BOOLEAN)


def _shown(operand: Operand, columns: ListColumns) -> Shown:
    return columns.lowered(operand.field) if operand.lowered else columns.seen(operand.field)
