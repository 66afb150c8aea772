"""`python -m app` is `mini-chat`."""

from app.cli import main

main()
