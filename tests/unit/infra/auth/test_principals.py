from uuid import UUID

import pytest

from infra.auth.principals import tenant_id_for, user_id_for

A_UUID = "0198c0de-79f0-7a01-9d00-1b2c3d4e5f60"


def test_a_uuid_is_taken_as_it_is_in_either_case() -> None:
    assert tenant_id_for(A_UUID) == tenant_id_for(A_UUID.upper()) == UUID(A_UUID)


def test_other_names_are_stable_for_ever() -> None:
    """Rows are keyed by these: whoever changes them orphans data."""
    tenant_id = tenant_id_for("acme")
    assert str(tenant_id) == "e7510e5d-25b3-5831-94d7-9733393614c5"
    assert str(user_id_for(tenant_id, "alice")) == "306f026b-38ce-5263-aa26-aaf1b14d799c"
    assert tenant_id.version == 5


def test_unusual_spellings_of_a_uuid_are_names() -> None:
    assert tenant_id_for("{" + A_UUID + "}") != UUID(A_UUID)
    assert tenant_id_for(A_UUID.replace("-", "")) != UUID(A_UUID)
    assert tenant_id_for(f"urn:uuid:{A_UUID}") != UUID(A_UUID)


def test_neither_tenants_nor_kinds_share_a_name() -> None:
    acme, globex = tenant_id_for("acme"), tenant_id_for("globex")
    assert len({acme, globex, user_id_for(acme, "acme"), user_id_for(globex, "acme")}) == 4


@pytest.mark.parametrize("name", ["", " ", "\t\n", "x" * 257, "\ud800", "00000000-0000-0000-0000-000000000000"])
def test_a_name_nobody_can_bear_is_refused(name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the type is the promise
        tenant_id_for(name)
    with pytest.raises(ValueError):  # noqa: PT011 - the type is the promise
        user_id_for(tenant_id_for("acme"), name)
