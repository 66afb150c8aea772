"""The ground all mapped tables stand on: the schema, the column types, the tenant first in every key."""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import BigInteger, Date, DateTime, MetaData, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA = "mini_chat"


class Base(DeclarativeBase):
    """The migrations make the tables; these classes only name them, and a test holds the two together."""

    metadata = MetaData(schema=SCHEMA)
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        UUID: Uuid(),
        str: Text(),
        int: BigInteger(),
        datetime: DateTime(timezone=True),
        date: Date(),
        dict[str, Any]: JSONB(),
        list[dict[str, Any]]: JSONB(),
    }


class TenantRow(Base):
    """A row that belongs to one tenant: `tenant_id` leads its primary key and each of its indexes."""

    __abstract__ = True

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
