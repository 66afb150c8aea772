import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from infra.providers.sse_decoder import Frame, SseDecoder

PIECES = [
    b"data: a",
    b"data:b",
    b"data",
    b"data:  two spaces",
    b'data: {"x":"\xe2\x82\xac"}',
    b"event: named",
    b": comment",
    b":",
    b"id: 7",
    b"retry: 1",
    b"unknown: x",
    b"noise",
    b"data: [DONE]",
    b"data: {cut",
    b"\xef\xbb\xbfdata: marked",
]
ENDS = [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n", b"\n\r", b""]

streams = st.builds(
    lambda mark, parts: mark + b"".join(part for pair in parts for part in pair),
    st.sampled_from([b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\n"]),
    st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(ENDS)), max_size=12),
)


def decoded(
    chunks: list[bytes], max_frame_bytes: int = 1000, max_stream_bytes: int = 100_000
) -> tuple[list[Frame], bool]:
    decoder = SseDecoder(max_frame_bytes=max_frame_bytes, max_stream_bytes=max_stream_bytes)
    frames = [frame for chunk in chunks for frame in decoder.feed(chunk)] + decoder.finish()
    return frames, decoder.exceeded


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({cut % (len(stream) + 1) for cut in cuts})
    return [stream[start:end] for start, end in zip([0, *places], [*places, len(stream)], strict=True)]


@given(streams, st.lists(st.integers(0, 500), max_size=8))
@example(b"data: a\r\n\r\ndata: b\r\n\r\n", [8, 9, 10, 11])
@example(b"data: a\n\nevent: named\ndata: b\n\n", [9])
@example(b"data: a\n\nevent: \xff\xe2\x82\xac\ndata: b\n\ndata: c\n\n", [9, 31])
@example(b"data: a\n\nevent: \ndata: \n\n", [9])
@example(b"data: a\n\nevent: x\n: y\n\n", [9])
def test_any_split_gives_the_same_frames(stream: bytes, cuts: list[int]) -> None:
    assert decoded(pieces(stream, cuts)) == decoded([stream])


@given(streams)
def test_single_bytes_give_the_same_frames(stream: bytes) -> None:
    assert decoded([stream[i : i + 1] for i in range(len(stream))]) == decoded([stream])


@given(streams, st.lists(st.integers(0, 500), max_size=8), st.integers(1, 40), st.integers(1, 80))
def test_limits_bite_at_the_same_place_however_the_bytes_are_split(
    stream: bytes, cuts: list[int], max_frame: int, max_stream: int
) -> None:
    assert decoded(pieces(stream, cuts), max_frame, max_stream) == decoded([stream], max_frame, max_stream)


@pytest.mark.parametrize(
    ("stream", "frames"),
    [
        (b"data: a\n\n", [("", b"a")]),
        (b"data: a\r\n\r\n", [("", b"a")]),
        (b"data: a\r\rdata: b\r\r", [("", b"a"), ("", b"b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"\n\xef\xbb\xbfdata: a\n\n", []),
        (b": hello\n\ndata: a\n\n", [("", b"a")]),
        (b"data: a\ndata: b\n\n", [("", b"a\nb")]),
        (b"data:  a\n\n", [("", b" a")]),
        (b"data:a\n\n", [("", b"a")]),
        (b"event: x\nevent: y\ndata: a\n\n", [("y", b"a")]),
        (b"event: x\n\ndata: a\n\n", [("", b"a")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", [("x", b"a"), ("", b"b")]),
        (b"data\n\ndata:\n\n", []),
        (b'data: {"a":1}', [("", b'{"a":1}')]),
        (b'data: {"a":1}\n', [("", b'{"a":1}')]),
        (b'data: {"a":\n', []),
        (b'data: {"a":', []),
        (b"data: [DONE]", [("", b"[DONE]")]),
        (b"id: 1\nretry: 5\ndata: a\n\n", [("", b"a")]),
        (b"", []),
    ],
)
def test_the_framing_rules_hold(stream: bytes, frames: list[tuple[str, bytes]]) -> None:
    assert decoded([stream])[0] == [Frame(event, data) for event, data in frames]


def test_a_frame_of_exactly_the_limit_passes_and_one_byte_more_does_not() -> None:
    assert decoded([b"data: " + b"a" * 94 + b"\n\n"], 100) == ([Frame("", b"a" * 94)], False)
    assert decoded([b"data: " + b"a" * 95 + b"\n\n"], 100) == ([], True)


def test_many_short_lines_of_one_frame_count_together() -> None:
    assert decoded([b"data: aaaa\n" * 100 + b"\n"], 100) == ([], True)


def test_a_line_without_end_is_given_up_at_the_limit() -> None:
    decoder = SseDecoder(max_frame_bytes=100)
    for _ in range(10):
        decoder.feed(b"x" * 11)
    assert decoder.exceeded
    assert sum(map(len, decoder._tail)) <= 111


def test_frames_before_the_limit_still_come_out() -> None:
    assert decoded([b"data: a\n\n" + b"x" * 200 + b"\ndata: b\n\n"], 100) == ([Frame("", b"a")], True)
