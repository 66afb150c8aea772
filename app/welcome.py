"""What the person at the terminal needs next."""

from app.settings import AuthMode, Settings


def welcome(settings: Settings, address: tuple[str, int]) -> str:
    """The URL, the docs URL, and a line that streams an answer when pasted."""
    host, port = address[:2]
    root = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    gateway = f"{root}{settings.gateway_prefix}"
    credential = "" if settings.auth.mode is AuthMode.DEV else ' -H "Authorization: Bearer $TOKEN"'
    return (
        f"\n  mini-chat   {root}"
        f"\n  docs        {gateway}/docs"
        f"\n  try         curl -N {gateway}{settings.url_prefix}/v1/chats:stream{credential}"
        " -H 'Content-Type: application/json' -d '{\"content\":\"Hello\"}'\n"
    )
