import pytest

from infra.providers.redaction import machine_word


@pytest.mark.parametrize("word", ["server_error", "NotFoundError", "rate-limit"])
def test_machine_words_pass(word: str) -> None:
    assert machine_word(word) == word


@pytest.mark.parametrize(
    "text",
    [
        "sk-secretkey",
        "req_abcdef",
        "resp_0a1b2c",
        "two words",
        "host.example",
        "10.0.0.1",
        "a" * 65,
        "https://x",
        "me@x",
        "",
        None,
        5,
        ["server_error"],
        "x\n",
    ],
)
def test_everything_else_is_dropped(text: object) -> None:
    assert machine_word(text) == ""
