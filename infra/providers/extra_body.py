"""Members that an operator adds to request bodies (providers-and-files.md 2.2)."""

from collections.abc import Collection, Mapping


def with_extras(
    built: Mapping[str, object], provider: Mapping[str, object], params: Mapping[str, object], never: Collection[str]
) -> dict[str, object]:
    """`built` and beside it `extra_body`, the provider's and, first, the catalogue entry's in `params`.

    Nothing that was built is replaced, and nothing named by `never` is added.
    """
    own = params.get("extra_body")
    extras = {**provider, **own} if isinstance(own, Mapping) else provider
    return {**{name: value for name, value in extras.items() if name not in never}, **built}
