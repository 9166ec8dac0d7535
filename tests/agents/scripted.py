"""A model that follows a script: a server on loopback that makes any of the agents act, by its own tools, step by step.

A step is said in words that fit every agent; which tool it becomes follows from the tools that a request offers. Which
step is next follows from the request too: it repeats the conversation, so an agent may ask again, or ask at once.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from agents.formats import FORMATS, Asked, Body, Call, Turn

SIDE_TEXT = "A reproduction"
"""What requests beside the work are answered: titles, summaries, messages of commits."""
NEXT = "Next step of the script."
DONE_OF_MINI = "echo COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"


@dataclass(frozen=True)
class Shell:
    """Run a command."""

    command: str


@dataclass(frozen=True)
class Write:
    """Write a file of the workspace whole."""

    path: str
    text: str


@dataclass(frozen=True)
class Read:
    """Read a file of the workspace."""

    path: str


@dataclass(frozen=True)
class Raw:
    """Answer with these bytes."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Say:
    """Say something, and end."""

    text: str


@dataclass(frozen=True)
class Wait:
    """Say something, after so many seconds."""

    seconds: float


Step = Shell | Write | Read | Raw | Say | Wait


@dataclass(frozen=True)
class Request:
    """What arrived."""

    path: str
    format: str | None
    body: Body
    headers: dict[str, str]


@dataclass
class Script:
    """The model: its steps, and what was asked of it."""

    steps: Sequence[Step]
    root: str
    """Where the workspace lies, for tools that take absolute paths."""
    endless: bool = False
    """Begin again with the first step after the last one, and never end."""
    requests: list[Request] = field(default_factory=list)
    base: str = ""

    def __post_init__(self) -> None:
        """Begin with nothing asked."""
        self._lock, self._closed = threading.Lock(), threading.Event()

    def take(self, request: Request) -> None:
        with self._lock:
            self.requests.append(request)

    @property
    def replies(self) -> tuple[str, ...]:
        """What the agent's tools have answered, as the longest conversation tells it."""
        told = [FORMATS[asked.format].read(asked.body).replies for asked in self.requests if asked.format]
        return max(told, key=len, default=())

    def step(self, asked: Asked) -> Step:
        """What comes next in this conversation."""
        steps = [part for step in self.steps for part in _parts(step, asked.tools)]
        number = asked.turns % len(steps) if self.endless else asked.turns
        step = steps[number] if number < len(steps) else Say("That is all.")
        # some agents end where they find that they repeat themselves
        return Shell(f"{step.command}; : {asked.turns}") if self.endless and isinstance(step, Shell) else step

    def turn(self, asked: Asked) -> Turn | Raw:
        """The answer to a request."""
        if asked.tools:
            return self._use(self.step(asked), asked)
        if "SEARCH/REPLACE" in asked.text or "*file listing*" in asked.text:
            return self._edit(asked)
        return self._said(SIDE_TEXT, asked)

    def _use(self, step: Step, asked: Asked) -> Turn | Raw:
        if isinstance(step, Raw):
            return step
        if isinstance(step, Wait):
            return self._waited(step, asked)
        if isinstance(step, Say):
            if set(asked.tools) == {"bash"}:  # mini ends by a command
                return self._used("bash", {"command": DONE_OF_MINI}, asked)
            return self._said(step.text, asked)
        return self._used(*tool_for(step, asked.tools, self.root), asked)

    def _used(self, tool: str, arguments: Body | str, asked: Asked) -> Turn:
        call = Call(id=f"call_{asked.turns}", tool=tool, arguments=arguments)
        return Turn(
            f"{NEXT} ({asked.turns})", (call,), input=len(asked.text) // 4, output=10 + len(str(arguments)) // 4
        )

    def _waited(self, step: Wait, asked: Asked) -> Turn:
        self._closed.wait(step.seconds)
        return self._said("Here I am.", asked)

    def close(self) -> None:
        """Let nobody wait any longer."""
        self._closed.set()

    def _said(self, text: str, asked: Asked) -> Turn:
        return Turn(text, (), input=len(asked.text) // 4, output=1 + len(text) // 4)

    def _edit(self, asked: Asked) -> Turn | Raw:
        """Write the files up to the next `Shell` at once: one without tools can only write."""
        groups: list[list[Step]] = [[]]
        for step in self.steps:
            if isinstance(step, Shell):
                groups.append([])
            else:
                groups[-1].append(step)
        groups = [group for group in groups if group]
        here = groups[min(asked.text.count(NEXT), len(groups) - 1)]
        if isinstance(here[0], Raw):
            return here[0]
        if isinstance(here[0], Wait):
            return self._waited(here[0], asked)
        texts = [f"{s.path}\n```\n{s.text}```\n" if isinstance(s, Write) else f"{s.text}\n" for s in here]  # type: ignore[union-attr]
        return self._said("\n".join([NEXT, *texts]), asked)


def _parts(step: Step, tools: dict[str, Body]) -> list[Step]:
    """A step as an agent can do it: Claude Code writes no file that it has not read."""
    return [Read(step.path), step] if isinstance(step, Write) and {"Read", "Write"} <= set(tools) else [step]


def tool_for(step: Shell | Write | Read, tools: dict[str, Body], root: str) -> tuple[str, Body | str]:
    """The agent's own tool for a step, and its arguments."""
    if isinstance(step, Read):
        return "Read", {"file_path": f"{root}/{step.path}"}
    if isinstance(step, Write):
        for name in ("Write", "write_file", "write"):
            if name in tools:
                return name, _fitting({"file_path": f"{root}/{step.path}", "filePath": f"{root}/{step.path}",
                                       "content": step.text}, tools[name])  # fmt: skip
        if "apply_patch" in tools:
            lines = "".join(f"+{line}\n" for line in step.text.splitlines())
            patch = f"*** Begin Patch\n*** Delete File: {step.path}\n*** Add File: {step.path}\n{lines}*** End Patch\n"
            return "apply_patch", patch if tools["apply_patch"].get("freeform") else {"input": patch}
        return tool_for(Shell(f"cat > {step.path} <<'EOF_OF_FILE'\n{step.text}EOF_OF_FILE"), tools, root)
    for name in ("bash", "Bash", "run_shell_command", "exec_command", "shell_command", "shell"):
        if name in tools:
            command: Any = ["bash", "-lc", step.command] if name == "shell" else step.command
            arguments = {"command": command, "cmd": command, "description": "the next step", "yield_time_ms": 30_000,
                         "timeout": 600_000, "timeout_ms": 600_000}  # fmt: skip
            return name, _fitting(arguments, tools[name])
    raise AssertionError(f"no tool runs commands: {sorted(tools)}")


def _fitting(arguments: Body, schema: Body) -> Body:
    known = schema.get("properties", arguments)
    return {name: value for name, value in arguments.items() if name in known}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: Script

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.script.take(Request(self.path, None, {}, dict(self.headers)))
        self._send(json.dumps({"object": "list", "data": []}).encode())

    do_HEAD = do_GET

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        path = urlsplit(self.path).path
        name = next((name for name, known in FORMATS.items() if known.path.search(path)), None)
        self.script.take(Request(self.path, name, body, dict(self.headers)))
        if path.endswith(("count_tokens", "countTokens")):
            self._send(json.dumps({"input_tokens": 1000, "totalTokens": 1000}).encode())
        elif name is None:
            self._send(b'{"error": {"message": "no such endpoint", "type": "not_found_error"}}', status=404)
        else:
            self._answer(name, body, streamed=bool(body.get("stream")) or "streamGenerate" in path)

    def _answer(self, name: str, body: Body, *, streamed: bool) -> None:
        spoken = FORMATS[name]
        turn = self.script.turn(spoken.read(body))
        if isinstance(turn, Raw):
            self._send(turn.body, status=turn.status, content_type=turn.content_type)
        elif streamed:
            self._stream(spoken.stream(turn, body), ends=name == "chat")
        else:
            self._send(json.dumps(spoken.answer(turn, body)).encode())

    def _send(self, body: bytes, *, status: int = 200, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _stream(self, events: Iterator[tuple[str | None, Body]], *, ends: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for name, data in events:
            head = f"event: {name}\n" if name else ""
            self._chunk(f"{head}data: {json.dumps(data)}\n\n".encode())
        if ends:
            self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))


@contextmanager
def scripted(steps: Sequence[Step], *, root: str, endless: bool = False) -> Iterator[Script]:
    """A server of the script on a port of its own; `base` tells where."""
    script = Script(steps, root, endless)
    handler = type("Handler", (_Handler,), {"script": script})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        script.base = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield script
        finally:
            script.close()
            server.shutdown()
