import pytest

from infra.providers.redaction import Redaction, machine_word


@pytest.mark.parametrize("word", ["server_error", "NotFoundError", "timeout", "a" * 64])
def test_machine_words_pass(word: str) -> None:
    assert machine_word(word) == word


@pytest.mark.parametrize(
    "text",
    [
        "sk-secretkey",
        "CNRY-said-this",
        "my-deployment",
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


@pytest.mark.parametrize(
    "secret",
    [
        "resp_0a1b2c",
        "toolu_01AbC",
        "chatcmpl-9x8y7z",
        "fs_1abcd",
        "https://gpu.internal:8000/v1?x=1",
        "me@example.com",
        "10.0.0.1",
        "fe80::1",
        "Bearer abcdef",
        "sk-proj-abc",
        "api-key: hunter2",
        "eyJhbGciOi.eyJzdWIi.c2ln",
        "0123456789abcdef0123456789abcdef",
        "gpu-farm.example",
        "my-deployment",
    ],
)
def test_what_is_secret_or_looks_like_it_is_taken_out(secret: str) -> None:
    redaction = Redaction(lambda: ["gpu-farm.example", "my-deployment"])
    assert redaction.of(f"status 400 ({secret}) invalid_request_error").count(secret) == 0
    assert redaction.of(f"first_token deadline {secret}").startswith("first_token deadline ***")


def test_words_of_ours_stay_readable() -> None:
    told = "status 429 rate_limit_error; first_token deadline, message_start, run_again"
    assert Redaction(lambda: ["x.example"]).of(told) == told


def test_controls_go_and_length_is_bounded() -> None:
    assert Redaction().of("a\r\n\x1b[31mb") == "a [31mb"
    assert len(Redaction().of("word " * 500)) == 500
