"""Between begin and commit a use case waits for its transaction and for nothing else (architecture.md 6).

Whatever else it waited for would decide how long rows stay locked. Inside `async with …begin(…) as tx` every await
is a call on `tx` or on one of its repositories, or of a function of the same file that is handed `tx` and obeys the
same rule.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
ROOT = Path(__file__).resolve().parents[2]
BEGIN = {"begin", "_begin"}


def offences(source: str) -> list[str]:
    tree = ast.parse(source)
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, Function)}
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncWith):
            for opened in node.items:
                if _called(opened.context_expr) in BEGIN:
                    found.update(_offences_inside(node.body, _name(opened.optional_vars), functions, frozenset()))
    return sorted(found)


def _offences_inside(
    body: list[ast.stmt], tx: str | None, functions: dict[str, Function], on_the_way: frozenset[str]
) -> Iterator[str]:
    for node in (inner for statement in body for inner in ast.walk(statement)):
        if isinstance(node, ast.AsyncFor | ast.AsyncWith) or (isinstance(node, ast.comprehension) and node.is_async):
            yield f"line {getattr(node, 'lineno', '?')}: waits by async for or async with"
        elif isinstance(node, ast.Await):
            yield from _offences_of(node, tx, functions, on_the_way)


def _offences_of(
    wait: ast.Await, tx: str | None, functions: dict[str, Function], on_the_way: frozenset[str]
) -> Iterator[str]:
    if isinstance(wait.value, ast.Call):
        if tx is not None and _root(wait.value.func) == tx:
            return
        helper = functions.get(_called(wait.value) or "")
        parameter = _parameter_for(wait.value, tx, helper)
        if helper is not None and parameter is not None:
            if helper.name not in on_the_way:
                yield from _offences_inside(helper.body, parameter, functions, on_the_way | {helper.name})
            return
    yield f"line {wait.lineno}: {ast.unparse(wait)}"


def _parameter_for(call: ast.Call, tx: str | None, helper: Function | None) -> str | None:
    """Under which name the function called knows `tx`; None when it is not handed it."""
    if helper is None or tx is None:
        return None
    names = [argument.arg for argument in helper.args.args if argument.arg != "self"]
    by_position = [name for name, value in zip(names, call.args, strict=False) if _name(value) == tx]
    by_name = [keyword.arg for keyword in call.keywords if keyword.arg is not None and _name(keyword.value) == tx]
    return next(iter([*by_position, *by_name]), None)


def _called(node: ast.expr) -> str | None:
    """`f` of `f(…)`, `self.f(…)` and `anything.f(…)`."""
    match node:
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name
    return None


def _root(node: ast.expr) -> str | None:
    """`tx` of `tx.chats.get`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return _name(node)


def _name(node: ast.expr | None) -> str | None:
    return node.id if isinstance(node, ast.Name) else None


DOMAIN = sorted((ROOT / "domain").rglob("*.py"))


@pytest.mark.parametrize("path", DOMAIN, ids=[str(path.relative_to(ROOT)) for path in DOMAIN])
def test_a_transaction_waits_for_the_database_alone(path: Path) -> None:
    assert offences(path.read_text()) == []


def test_the_rule_has_transactions_to_look_at() -> None:
    openings = [path.name for path in DOMAIN if "self._begin(" in path.read_text()]
    assert len(openings) >= 3


@pytest.mark.parametrize(
    "inside",
    [
        "await tx.chats.get(1)",
        "return [await tx.chats.get(n) for n in (1, 2)]",
        "if await tx.chats.get(1) is None:\n                raise ValueError",
        "await self._helper(tx)",
        "await self._helper(number=1, tx=tx)",
        "async_call()",
    ],
)
def test_what_may_be_waited_for(inside: str) -> None:
    assert offences(CLASS.format(inside=inside, helper="await tx.chats.get(1)")) == []


@pytest.mark.parametrize(
    "inside",
    [
        "await provider.send()",
        "await self._helper()",
        "await self._other(tx)",
        "await elsewhere(tx)",
        "await task",
        "await anyio.sleep(1)",
        "x = 1 + await provider.send(await tx.chats.get(1))",
        "async for event in stream:\n                pass",
        "async with lock:\n                pass",
        "return [event async for event in stream]",
        "async with self._begin(scope) as second:\n                await second.chats.get(1)",
    ],
)
def test_what_may_not(inside: str) -> None:
    assert offences(CLASS.format(inside=inside, helper="await tx.chats.get(1)"))


def test_what_a_helper_may_not() -> None:
    assert offences(CLASS.format(inside="await self._helper(tx)", helper="await provider.send()"))
    assert offences(CLASS.format(inside="await self._helper(tx)", helper="await self._helper(tx)")) == []


CLASS = """
class Service:
    async def use(self, scope):
        async with self._begin(scope) as tx:
            {inside}

    async def _helper(self, tx, number=0):
        {helper}
"""
