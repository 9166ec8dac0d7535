"""A scripted provider on loopback that speaks chat completions, and the words by which a program asks it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ASK = """\
import json, os, sys, time, urllib.request, urllib.error
def ask(text, tokens=100):
    body = {"model": os.environ["REPROOF_MODEL"], "messages": [{"role": "user", "content": text}], "max_tokens": tokens}
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", json.dumps(body).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]})
    return json.loads(urllib.request.urlopen(request, timeout=60).read())["choices"][0]["message"]["content"]
"""
"""To be executed by an agent in Python: `ask(text)` gives the model's answer."""
Answer = Callable[[int], tuple[int, str]]
"""Status and text, given the number of the request from 1."""


class Model:
    """What was asked of it, and with which keys."""

    def __init__(self, answer: Answer) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                model.asked.append(body)
                model.keys.append(self.headers["Authorization"])
                status, text = answer(len(model.asked))
                data = json.dumps(_body(body["model"], text) if status == 200 else {"error": {"message": text}})
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data.encode())

            def log_message(self, *words: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


def _body(model: str, text: str) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 20, "completion_tokens": 10, "total_tokens": 30}
    return {"id": "x", "object": "chat.completion", "created": 0, "model": model, "choices": [choice], "usage": usage}


@contextlib.contextmanager
def scripted(answer: Answer) -> Iterator[Model]:
    model = Model(answer)
    thread = threading.Thread(target=model.server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield model
    finally:
        model.server.shutdown()
        thread.join()
        model.server.server_close()
