"""Whoever adds to what operators decide holds this until the commit, so that revisions are committed in their order."""

from typing import Final

from sqlalchemy import text

# The number stands for nothing but this.
ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(5477103)")
