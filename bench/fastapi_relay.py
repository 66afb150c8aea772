"""Yardstick 2: the relay most teams write, with FastAPI, sse-starlette and httpx.

`python -m bench.fastapi_relay PORT UPSTREAM_URL`; no database and no authentication either. Out of fairness the
pool limit and the read timeout of httpx are lifted and uvicorn runs on uvloop and httptools.
"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel
from sse_starlette import EventSourceResponse

UPSTREAM_URL = sys.argv[2] if len(sys.argv) > 2 else ""


class Completion(BaseModel):
    messages: list[dict[str, str]]
    stream: bool = True


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with httpx.AsyncClient(timeout=httpx.Timeout(None), limits=httpx.Limits(max_connections=None)) as client:
        app.state.client = client
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def readyz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/relay")
async def relay(completion: Completion, request: Request) -> EventSourceResponse:
    return EventSourceResponse(_events(request.app.state.client, completion))


async def _events(client: httpx.AsyncClient, completion: Completion) -> AsyncIterator[dict[str, str]]:
    number = 0
    async with client.stream("POST", UPSTREAM_URL, json=completion.model_dump()) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            choices = json.loads(line[6:])["choices"]
            if choices and (content := choices[0]["delta"].get("content")):
                number += 1
                yield {"id": str(number), "event": "delta", "data": json.dumps({"type": "text", "content": content})}
    yield {"id": str(number + 1), "event": "done", "data": "{}"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
