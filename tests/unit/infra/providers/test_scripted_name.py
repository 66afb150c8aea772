import pytest

from infra.providers.adapters.scripted.name import FailAs, MalformedName, MockModel, parse_name


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("mock", MockModel(name="mock")),
        ("mock-ttft300", MockModel(name="mock-ttft300", ttft_ms=300)),
        ("mock-ttft600000", MockModel(name="mock-ttft600000", ttft_ms=600_000)),
        ("mock-itl0", MockModel(name="mock-itl0")),
        ("mock-len0", MockModel(name="mock-len0", tokens=0)),
        ("mock-len200000", MockModel(name="mock-len200000", tokens=200_000)),
        ("mock-fail9999999", MockModel(name="mock-fail9999999", fail_after=9_999_999)),
        ("mock-hang2", MockModel(name="mock-hang2", hang_after=2)),
        ("mock-tool20-cite20", MockModel(name="mock-tool20-cite20", tools=20, citations=20)),
        ("mock-seed7", MockModel(name="mock-seed7", seed=7)),
        ("mock-echo", MockModel(name="mock-echo", echo=True)),
        ("mock-asrate", MockModel(name="mock-asrate", fail_as=FailAs.RATE)),
        (
            "mock-tool1-fail2-len150-itl15-ttft300",
            MockModel(
                name="mock-tool1-fail2-len150-itl15-ttft300", ttft_ms=300, itl_ms=15, tokens=150, fail_after=2, tools=1
            ),
        ),
    ],
)
def test_a_name_says_what_the_model_does(name: str, model: MockModel) -> None:
    assert parse_name(name) == model


@pytest.mark.parametrize("kind", FailAs)
def test_every_kind_of_failure_has_a_name(kind: FailAs) -> None:
    assert parse_name(f"mock-fail1-as{kind}").fail_as is kind


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Mock",
        "mocking",
        "mock-",
        "mock--len1",
        "mock-len",
        "mock-len01",
        "mock-len-1",
        "mock-len+1",
        "mock-len1.5",
        "mock-lenx",
        "mock-len1 ",
        "mock-len1\n",
        "mock-len١",  # noqa: RUF001  a digit, but not an ASCII one
        "mock-LEN1",
        "mock-unknown1",
        "mock-echo1",
        "mock-len1-len1",
        "mock-echo-echo",
        "mock-asrate-asserver",
        "mock-as",
        "mock-asnothing",
        "mock-asserver1",
        "mock-fail12345678",
        "mock-ttft600001",
        "mock-itl60001",
        "mock-len200001",
        "mock-tool21",
        "mock-cite21",
        "xmock",
        "mock_len1",
    ],
)
def test_everything_outside_the_grammar_is_refused(name: str) -> None:
    with pytest.raises(MalformedName):
        parse_name(name)
