import pytest

from bench.transcript import faults

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DONE = b"event: done\ndata: {}\n\n"


def delta(content: str) -> bytes:
    return b'id: 1\nevent: delta\ndata: {"type":"text","content":"%s"}\n\n' % content.encode()


def response(*frames: bytes) -> list[bytes]:
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(frame), frame) for frame in frames)
    return [HEAD, chunks, b"0\r\n\r\n"]


def test_a_whole_stream_has_no_fault_however_its_deltas_are_grouped() -> None:
    assert faults(response(delta("a:0 "), delta("a:1 ") + DONE), "a", 2) == []
    assert faults(response(delta("a:0 a:1 "), DONE.replace(b"\n", b"\r\n")), "a", 2) == []


@pytest.mark.parametrize(
    "frames",
    [
        pytest.param((delta("a:0 "), DONE), id="lost"),
        pytest.param((delta("a:0 "), delta("a:0 "), delta("a:1 "), DONE), id="doubled"),
        pytest.param((delta("a:1 "), delta("a:0 "), DONE), id="reordered"),
        pytest.param((delta("a:0 "), delta("b:1 "), DONE), id="foreign"),
        pytest.param((delta("a:0 "), delta("a:1 ")), id="without an end"),
    ],
)
def test_a_stream_that_is_not_what_the_upstream_sent_is_a_fault(frames: tuple[bytes, ...]) -> None:
    assert len(faults(response(*frames), "a", 2)) == 1


def test_a_refusal_is_reported_with_its_status() -> None:
    refusal = [b"HTTP/1.1 429 Too Many Requests\r\n\r\n", b'{"code":"rate_limited"}']
    assert faults(refusal, "a", 2) == ['HTTP/1.1 429 Too Many Requests b\'{"code":"rate_limited"}\'']
