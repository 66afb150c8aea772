"""A server of the Responses format: its answers event by event, and a replier that refuses what the public API refuses.

The official client is its judge (tests/integration/upstreams/test_openai_responses_judged.py).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from tests.harness.upstream import Exchange, Reply, Step, refusal
from tests.upstreams.openai_responses_faults import Fault, fault_of

KEY: Final = "sk-responses"
MODEL: Final = "gpt-fake"
Members: TypeAlias = dict[str, Any]


class Answering:
    """One answer. Each method gives the bytes of its events, numbered and nested as the public API does it."""

    def __init__(self, model: str = MODEL, *, response_id: str = "resp_fake0001") -> None:
        self.output: list[Members] = []
        self._model = model
        self._id = response_id
        self._number = -1

    def event(self, name: str, /, **members: object) -> bytes:
        self._number += 1
        data = msgspec.json.encode({"type": name, "sequence_number": self._number, **members})
        return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"

    def begin(self) -> bytes:
        response = self.response("in_progress")
        return self.event("response.created", response=response) + self.event("response.in_progress", response=response)

    def say(self, *pieces: str, annotations: Sequence[Members] = ()) -> list[bytes]:
        """A message with one part; its annotations come behind the text they speak of."""
        item: Members = {"id": self._item_id("msg"), "type": "message", "role": "assistant", "status": "completed"}
        whole = _part("".join(pieces), annotations)
        place = {"item_id": item["id"], "output_index": len(self.output), "content_index": 0}
        steps = [self._added({**item, "status": "in_progress", "content": []}, place, _part("", ()))]
        steps += [self._delta(piece, place) for piece in pieces]
        steps += [
            self.event("response.output_text.annotation.added", **place, annotation_index=number, annotation=annotation)
            for number, annotation in enumerate(annotations)
        ]
        text_done = self.event("response.output_text.done", **place, text=whole["text"], logprobs=[])
        part_done = self.event("response.content_part.done", **place, part=whole)
        return [*steps, text_done + part_done + self._done({**item, "content": [whole]})]

    def delta(self, piece: str) -> bytes:
        """Of a message that nobody opened, as frames are where a stream is joined late."""
        return self._delta(piece, {"item_id": "msg_late", "output_index": 0, "content_index": 0})

    def refuse(self, sentence: str) -> list[bytes]:
        item: Members = {"id": self._item_id("msg"), "type": "message", "role": "assistant", "status": "completed"}
        place = {"item_id": item["id"], "output_index": len(self.output), "content_index": 0}
        part = {"type": "refusal", "refusal": sentence}
        return [
            self._added({**item, "status": "in_progress", "content": []}, place, {**part, "refusal": ""}),
            self.event("response.refusal.delta", **place, delta=sentence),
            self.event("response.refusal.done", **place, refusal=sentence)
            + self.event("response.content_part.done", **place, part=part)
            + self._done({**item, "content": [part]}),
        ]

    def think(self, *pieces: str) -> list[bytes]:
        item: Members = {"id": self._item_id("rs"), "type": "reasoning"}
        place = {"item_id": item["id"], "output_index": len(self.output), "summary_index": 0}
        part = {"type": "summary_text", "text": "".join(pieces)}
        return [
            self._item_added({**item, "summary": []})
            + self.event("response.reasoning_summary_part.added", **place, part={**part, "text": ""}),
            *(self.event("response.reasoning_summary_text.delta", **place, delta=piece) for piece in pieces),
            self.event("response.reasoning_summary_text.done", **place, text=part["text"])
            + self.event("response.reasoning_summary_part.done", **place, part=part)
            + self._done({**item, "summary": [part]}),
        ]

    def search_web(self, query: str) -> list[bytes]:
        action = {"type": "search", "query": query}
        return self._call("web_search_call", "ws", ("in_progress", "searching", "completed"), {"action": action})

    def search_files(self, query: str, results: Sequence[Members] | None = None) -> list[bytes]:
        found = {"queries": [query], "results": results}
        return self._call("file_search_call", "fs", ("in_progress", "searching", "completed"), found)

    def interpret(self, code: str, logs: str | None = None) -> list[bytes]:
        outputs = None if logs is None else [{"type": "logs", "logs": logs}]
        ran = {"code": code, "container_id": "cntr_1", "outputs": outputs}
        return self._call("code_interpreter_call", "ci", ("in_progress", "interpreting", "completed"), ran)

    def call(self, name: str, *arguments: str) -> list[bytes]:
        whole = "".join(arguments)
        item: Members = {"id": self._item_id("fc"), "type": "function_call", "name": name, "call_id": "call_remote1"}
        place = {"item_id": item["id"], "output_index": len(self.output)}
        return [
            self._item_added({**item, "arguments": "", "status": "in_progress"}),
            *(self.event("response.function_call_arguments.delta", **place, delta=piece) for piece in arguments),
            self.event("response.function_call_arguments.done", **place, arguments=whole, name=name)
            + self._done({**item, "arguments": whole, "status": "completed"}),
        ]

    def complete(self, input_tokens: int = 4, output_tokens: int = 3) -> bytes:
        usage = usage_of(input_tokens, output_tokens)
        return self.event("response.completed", response=self.response("completed", usage=usage))

    def incomplete(self, reason: str, output_tokens: int = 1) -> bytes:
        ended = self.response("incomplete", usage=usage_of(4, output_tokens), incomplete_details={"reason": reason})
        return self.event("response.incomplete", response=ended)

    def fail(self, code: str, message: str = "The server had an error.") -> bytes:
        return self.event("response.failed", response=self.response("failed", error={"code": code, "message": message}))

    def error(self, code: str | None, message: str = "Something broke.") -> bytes:
        return self.event("error", code=code, message=message, param=None)

    def nested_error(self, code: str) -> bytes:
        return self.event("error", error={"type": "server_error", "code": code, "message": "It broke.", "param": None})

    def response(self, status: str, **members: object) -> Members:
        return {
            "id": self._id,
            "object": "response",
            "created_at": 1_767_225_600,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": 1_000,
            "model": self._model,
            "output": self.output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "store": False,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
            "metadata": {},
            **members,
        }

    def _call(self, kind: str, prefix: str, states: Sequence[str], found: Members) -> list[bytes]:
        item: Members = {"id": self._item_id(prefix), "type": kind}
        place = {"item_id": item["id"], "output_index": len(self.output)}
        hidden: Members = {name: None for name in ("results", "outputs") if name in found}
        steps = [self._item_added({**item, **found, **hidden, "status": "in_progress"})]
        steps += [self.event(f"response.{kind}.{state}", **place) for state in states]
        steps[-1] += self._done({**item, **found, "status": "completed"})
        return steps

    def _delta(self, piece: str, place: Members) -> bytes:
        return self.event("response.output_text.delta", **place, delta=piece, logprobs=[], obfuscation="aaaa")

    def _added(self, item: Members, place: Members, part: Members) -> bytes:
        return self._item_added(item) + self.event("response.content_part.added", **place, part=part)

    def _item_added(self, item: Members) -> bytes:
        return self.event("response.output_item.added", output_index=len(self.output), item=item)

    def _done(self, item: Members) -> bytes:
        done = self.event("response.output_item.done", output_index=len(self.output), item=item)
        self.output.append(item)
        return done

    def _item_id(self, prefix: str) -> str:
        return f"{prefix}_fake{len(self.output):04}"


Play: TypeAlias = Callable[[Answering, Members], Sequence[Step]]


class ResponsesServer:
    """Answers `Upstream.answer_with`. `play` makes the steps between the first event and the end of an answer."""

    def __init__(self, play: Play | None = None, *, keys: Mapping[str, str] | None = None) -> None:
        self.play = play or greeting
        self.keys = {"authorization": f"Bearer {KEY}"} if keys is None else keys

    def __call__(self, exchange: Exchange) -> Reply:
        if any(exchange.headers.get(name) != value for name, value in self.keys.items()):
            return _refused(Fault(401, "Incorrect API key provided.", code="invalid_api_key"))
        if exchange.target.partition("?")[0] not in {"/v1/responses", "/openai/v1/responses"}:
            return _refused(Fault(404, "Invalid URL."))
        fault = fault_of(exchange.body, {MODEL})
        return _refused(fault) if fault else self._answer(msgspec.json.decode(exchange.body))

    def _answer(self, body: Members) -> Reply:
        answering = Answering(body["model"])
        begin = answering.begin()
        steps = self.play(answering, body)
        if body.get("stream"):
            return Reply(steps=[begin, *steps, answering.complete()])
        whole = msgspec.json.encode(answering.response("completed", usage=usage_of(4, 3)))
        return Reply(headers={"Content-Type": "application/json"}, steps=[whole])


def greeting(answering: Answering, _: Members) -> Sequence[Step]:
    return answering.say("Hel", "lo ", "there")


def usage_of(input_tokens: int, output_tokens: int) -> Members:
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": input_tokens + output_tokens,
    }


def url_citation(url: str, title: str, start: int, end: int) -> Members:
    return {"type": "url_citation", "url": url, "title": title, "start_index": start, "end_index": end}


def file_citation(file_id: str, index: int = 0) -> Members:
    return {"type": "file_citation", "file_id": file_id, "filename": "remote-name.pdf", "index": index}


def _part(text: str, annotations: Sequence[Members]) -> Members:
    return {"type": "output_text", "text": text, "annotations": list(annotations), "logprobs": []}


def _refused(fault: Fault) -> Reply:
    return refusal(fault.status, {"error": fault.members})
