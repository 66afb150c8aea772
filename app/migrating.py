"""Stands in until the migrations are wired."""

from app.settings import Settings


def migrate(settings: Settings) -> None:
    raise NotImplementedError(settings.database)
