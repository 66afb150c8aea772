"""Why the database of this deployment cannot be used."""


class DatabaseUnusable(Exception):
    """Its text is for the operator who starts the program: what is wrong, and what would help."""
