"""Plays a scenario against a URL over plain HTTP, and raises `Broken` if the server violates it."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from typing import Any

import httpx

from tailrace.conformance.interfaces import EXTENSION, RPC_REFUSALS, Task
from tailrace.conformance.rules import Broken, Known, Stream
from tailrace.conformance.scenarios import Scenario
from tailrace.conformance.seen import Seen, check_superseded, collapsed
from tailrace.conformance.target import Target
from tailrace.conformance.wire import SILENCE_S, UNREADABLE, Wire

# For how many seconds a step waits for a frame.
PATIENCE_S = 60.0


def play(scenario: Scenario, via: str, target: Target) -> None:
    """Play the scenario over the interface `via`.

    Raises:
        Broken: the server violates a requirement; of several, the first that ended the scenario.
        Unplayable: the server begins no task.
        httpx.HTTPError: the server cannot be reached.
    """
    for broken in violations(scenario, via, target):
        raise broken


def violations(scenario: Scenario, via: str, target: Target) -> list[Broken]:
    """Play the scenario over the interface `via`; return what it has shown to be violated, the worst first.

    Raises:
        Unplayable: the server begins no task.
        httpx.HTTPError: the server cannot be reached.
    """
    with httpx.Client(timeout=httpx.Timeout(10.0, read=SILENCE_S)) as client:
        player = Player(scenario, via, target, client)
        with contextlib.closing(player):
            try:
                for step in scenario.steps:
                    player.rule = step.get("rule", scenario.checks[0])
                    getattr(player, f"do_{step['do']}")(step)
            except Broken as broken:
                return [broken, *player.noted]
            except UNREADABLE as error:
                return [
                    Broken(player.rule, f"an answer cannot be read: {type(error).__name__}: {error}"),
                    *player.noted,
                ]
        return player.noted


class Unplayable(Exception):
    """A scenario cannot be played here. The text says why; no requirement is violated by that."""


class Player:
    """The state of one scenario: its task, its streams and what they have shown."""

    def __init__(self, scenario: Scenario, via: str, target: Target, client: httpx.Client) -> None:
        self.rule = ""
        # Violations that end no scenario.
        self.noted: list[Broken] = []
        self._client = client
        self._server_dies = scenario.needs == "death"
        self._text = target.text
        self._user = target.interface(via, target.headers)
        self._other_user = target.interface(via, target.others or {})
        self._run = uuid.uuid4().hex[:12]
        self._known = Known()
        self._task = Task(str(uuid.uuid4()), self._user.message("nothing yet"))
        self._streams: dict[str, Stream] = {}

    def close(self) -> None:
        for stream in self._streams.values():
            stream.wire.cut()

    # Steps

    def do_create(self, step: dict[str, Any]) -> None:
        """Create the scenario's task, or send the request again under the same `key`."""
        text = self._filled(step["text"]) if self._text is None else self._text
        request, message = self._user.creation(text, f"{self._run}-{step.get('key', 'task')}")
        response = self._send(request)
        if self._refused(step, response):
            return
        try:
            task_id = self._user.created(response.json())
        except UNREADABLE:
            raise Unplayable(f"no task was begun: {response.status_code} {response.text[:200]}") from None
        self._expect(
            response.status_code == (201 if self._user.browser else 200), f"creating got {response.text[:300]}"
        )
        self._expect(task_id == self._task.id or not step.get("same"), f"the same request got another task: {task_id}")
        self._task = Task(task_id, message)

    def do_open(self, step: dict[str, Any]) -> None:
        """Open a stream, or expect a refusal."""
        user = self._other_user if step.get("who") == "other" else self._user
        cursor = self._cursor(step.get("cursor"))
        self._opened(step, user.opening(self._task, cursor, step.get("place", "header")), cursor)

    def do_read(self, step: dict[str, Any]) -> None:
        """Read a stream until the condition `until`."""
        stream = self._streams[step.get("stream", "stream")]
        self._read(stream, step["until"])
        seen = Seen(stream.frames, stream.seqs, stream.events, stream.gaps)
        self._check(step, seen, stream)

    def do_follow(self, step: dict[str, Any]) -> None:
        """Read from the beginning to the end, and reconnect with the cursor after each cut by the server or by us."""
        seen, cursor, ended = Seen(), 0, False
        limit = time.monotonic() + PATIENCE_S
        while not ended:
            self._expect(time.monotonic() < limit, f"the stream did not end in {PATIENCE_S:g} s; it is at {cursor}")
            with contextlib.suppress(*self._retried):
                wire = Wire(self._client, self._user.opening(self._task, str(cursor), "header"))
                if wire.response.status_code == 204:
                    return self._check(step, seen, None)
                stream = self._add_stream("follow", wire, str(cursor))
                for frame in wire.frames():
                    stream.take(frame)
                    if stream.ended or len(stream.seqs) == step.get("cut_every"):
                        break
                ended = bool(stream.ended)
                wire.cut()
                seen.frames += stream.frames
                seen.seqs += stream.seqs
                seen.events += stream.events
                seen.gaps += stream.gaps
                cursor = max(stream.last or 0, stream.gaps[-1]["to"] if stream.gaps else 0)
        return self._check(step, seen, None)

    def do_cut(self, step: dict[str, Any]) -> None:
        """Close the connection from our side."""
        self._streams.pop(step.get("stream", "stream")).wire.cut()

    def do_reply(self, step: dict[str, Any]) -> None:
        """Reply to the question; if the step names a `stream`, read the reply's stream under that name."""
        key = f"{self._run}-{step.get('key', 'reply')}"
        if "stream" in step:
            cursor = self._cursor(step.get("cursor"))
            request = self._user.streamed_reply(self._task, self._filled(step["text"]), key, cursor)
            self._opened(step, request, cursor, snapshot=cursor is None)
            return
        response = self._send(self._user.reply(self._task, self._filled(step["text"]), key))
        if not self._refused(step, response):
            self._expect(response.status_code == (202 if self._user.browser else 200), f"got {response.text[:300]}")
            self._expect(self._user.browser or "result" in response.json(), f"the reply got {response.text[:300]}")

    def do_cancel(self, step: dict[str, Any]) -> None:
        response = self._send(self._user.cancel(self._task))
        if not self._refused(step, response):
            self._expect(response.status_code == (202 if self._user.browser else 200), f"got {response.text[:300]}")
            self._expect(self._user.browser or "result" in response.json(), f"cancelling got {response.text[:300]}")

    def do_release(self, step: dict[str, Any]) -> None:
        """Open a gate by another task, which works over any interface."""
        request, _ = self._user.creation(f"open {self._filled(step['gate'])}", f"{self._run}-open-{step['gate']}")
        response = self._send(request)
        self._expect(response.is_success, f"opening a gate got {response.text[:300]}")

    def do_get(self, step: dict[str, Any]) -> None:
        """Get the task, which must include every event that a stream has shown."""
        user = self._other_user if step.get("who") == "other" else self._user
        response = self._send(user.reading(self._task))
        if self._refused(step, response):
            return
        task = response.json() if user.browser else response.json()["result"]
        if "state" in step:
            self._expect(task["status"]["state"] == f"TASK_STATE_{step['state']}", f"the state is {task['status']}")
        if "text" in step:
            texts = {each["artifactId"]: each["parts"][0].get("text") for each in task.get("artifacts", [])}
            self._expect(texts.get("response") == step["text"], f"the response is {texts.get('response')!r}")
        seq = task["metadata"][EXTENSION]["seq"]
        self._expect(seq >= self._known.last, f"the task is as of seq {seq}, and a stream has shown {self._known.last}")

    def do_card(self, _: dict[str, Any]) -> None:
        """Check that the agent's card declares the extension."""
        card = self._client.send(self._user.card()).json()
        declared = [each for each in card["capabilities"].get("extensions", []) if each["uri"] == EXTENSION]
        self._expect(declared != [] and not declared[0].get("required"), f"the card declares {declared}")

    def do_request(self, step: dict[str, Any]) -> None:
        """Send any request and expect its refusal with a status, or of HEAD any status.

        `size` is a number of blanks after the body.
        """
        body = self._filled(step.get("body", "")) + " " * step.get("size", 0)
        path = step["path"].replace("$task", self._task.id)
        headers = {**self._user.headers, "Content-Type": "application/json", **step.get("headers", {})}
        url = self._user.url + path
        response = self._client.request(step["method"], url, content=body.encode() or None, headers=headers)
        self._expect(response.status_code == step["status"], f"got {response.status_code}: {response.text[:300]}")
        if self._user.browser and step["method"] != "HEAD":
            self._problem(response)

    # Reading

    def _opened(
        self, step: dict[str, Any], request: httpx.Request, cursor: str | None, *, snapshot: bool = False
    ) -> None:
        """Open a stream by this request, or expect a refusal."""
        wire = Wire(self._client, request)
        if "refused" in step and self._user.via == "0.3":
            self._refused_in_stream(step, wire)
        elif "refused" in step or step.get("status", 200) != 200:
            wire.body()
            if not self._refused(step, wire.response):
                status = wire.response.status_code
                self._expect((status, wire.body()) == (step["status"], b""), f"opening got {status}, {wire.body()!r}")
        else:
            self._add_stream(step.get("stream", "stream"), wire, cursor, snapshot=snapshot)

    def _add_stream(self, name: str, wire: Wire, cursor: str | None, *, snapshot: bool = False) -> Stream:
        headers, status = wire.response.headers, wire.response.status_code
        if not wire.streams or status != 200:
            # A server that goes by no cursor refuses a stream that it has ended.
            rule = "4.5a" if self._user.browser or cursor is None else "5.2a"
            raise Broken(rule, f"opening got {status}: {wire.body()[:300]!r}")
        if headers.get("cache-control") != "no-store" or headers.get("x-accel-buffering") != "no":
            self._note("4.5a", f"the stream's headers are {dict(headers)}")
        echoed = headers.get("a2a-extensions", headers.get("x-a2a-extensions", ""))
        if not self._user.browser and EXTENSION not in echoed:
            self._note("5.1b", f"the stream's extensions are {echoed!r}")
        begins_at_1 = not cursor and (self._user.browser or self._user.sends) and not snapshot
        stream = Stream(
            self._user,
            self._task.id,
            0 if begins_at_1 else int(cursor) if cursor else None,
            wire,
            self._known,
        )
        self._streams[name] = stream
        return stream

    def _read(self, stream: Stream, until: str) -> None:
        word, _, value = until.partition(" ")
        limit = time.monotonic() + PATIENCE_S
        while not _reached(stream, word, value):
            frame = next(stream.wire.frames(), None)
            if frame is None:
                break
            stream.take(frame)
            if time.monotonic() > limit:
                raise Broken(self.rule, f"{until!r} did not come in {PATIENCE_S:g} s; the stream is at {stream.last}")
        else:
            return
        if word not in ("end", "close"):
            raise Broken(self.rule, f"the stream was closed ({stream.wire.closed}) before {until!r}, at {stream.last}")
        ended = stream.ended or (stream.cursor is not None and self._known.terminal == stream.cursor)
        if word == "end" and (not ended or stream.wire.closed != "complete"):
            raise Broken("4.6b", f"the stream was closed ({stream.wire.closed}) without its end, at {stream.last}")

    def _check(self, step: dict[str, Any], seen: Seen, stream: Stream | None) -> None:
        """Check the expectations of a step about what it has read."""
        ends = {"from": seen.seqs[:1], "to": seen.seqs[-1:]}
        for key, value in ends.items():
            if key in step:
                expected = self._cursor(step[key])
                self._expect([str(each) for each in value] == [expected], f"read {key} {value}, not {expected}")
        if "text" in step and self._text is None:
            self._expect(seen.text() == step["text"], f"the text adds up to {seen.text()!r}, not {step['text']!r}")
        if "state" in step:
            self._expect(seen.state == step["state"], f"the state is {seen.state}, not {step['state']}")
        if "frames" in step:
            frames = collapsed(seen.frames)
            self._expect(frames == step["frames"], f"the frames are {frames}, not {step['frames']}")
        if "kinds" in step:
            kinds = iter(event.kind for event in seen.events)
            self._expect(
                all(kind in kinds for kind in step["kinds"]), f"the kinds {step['kinds']} did not come in this order"
            )
        if "gap" in step:
            gaps = [[gap["from"], gap["to"]] for gap in seen.gaps]
            self._expect(gaps == [step["gap"]], f"the gaps are {gaps}, not {step['gap']}")
        if "retry" in step:
            retries = [each for frame in seen.frames for each in frame.retries]
            self._expect(retries == [str(each) for each in step["retry"]], f"retry is {retries}, not {step['retry']}")
        if "asks" in step:
            questions = [
                event.body["status"].get("message") for event in seen.events if event.state == "INPUT_REQUIRED"
            ]
            self._expect(
                bool(questions) and questions[-1]["parts"][0]["text"] == step["asks"], f"the questions are {questions}"
            )
        if step.get("closed") and stream is not None:
            self._closed(step["closed"], stream)
        for number, event in enumerate(seen.events):
            if event.kind == "attempt":
                check_superseded(seen.events[:number], event, seen.events[number + 1 :])

    def _closed(self, how: str, stream: Stream) -> None:
        self._expect(not stream.ended, f"a {how} stream has sent its end")
        if how == "rotated":
            last = stream.frames[-1].kind
            self._expect((stream.wire.closed, last) == ("complete", "retry"), f"closed {stream.wire.closed} at {last}")
        if how == "paused":
            closed = (stream.wire.closed, stream.paused)
            self._expect(closed == ("complete", True), f"closed {stream.wire.closed} at {stream.frames[-1].kind}")

    # Requests

    @property
    def _retried(self) -> tuple[type[Exception], ...]:
        return (httpx.TransportError,) if self._server_dies else ()

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Send a request; repeat it if the connection fails in a scenario whose server dies."""
        limit = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._client.send(request)
            except httpx.TransportError:
                if not self._server_dies or time.monotonic() > limit:
                    raise

    def _refused(self, step: dict[str, Any], response: httpx.Response) -> bool:
        """Return whether the step expects a refusal, and check it."""
        why = step.get("refused")
        if why is None:
            return False
        expected, text = self._user.refusal(why), response.text[:300]
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Broken("4.5b", "a refusal is an event stream")
        rest = self._user.bare and response.request.url != httpx.URL(self._user.rpc)
        if self._user.browser:
            self._expect(response.status_code == expected, f"got {response.status_code}, not {expected}: {text}")
            self._problem(response)
            if why == "full" and not response.headers.get("retry-after", "").isdigit():
                raise Broken("6.11a", "a 503 without Retry-After")
            return True
        error = response.json().get("error") or {}
        if self._user.bare and not rest:
            expected = RPC_REFUSALS[why]
        got = error.get("code")
        self._expect(got == expected, f"got {got}, not {expected}: {text}")
        if -32009 <= (expected if not rest else 0) <= -32001 and not error.get("data"):
            raise Broken("5.5a", f"an error of A2A's own without ErrorInfo: {text}")
        return True

    def _problem(self, response: httpx.Response) -> None:
        kind, text = response.headers.get("content-type"), response.text[:300]
        problem = response.json() if kind == "application/problem+json" else {}
        if not problem.keys() >= {"type", "title", "status", "detail"} or problem["status"] != response.status_code:
            raise Broken("6.9a", f"an error has the type {kind}: {text}")

    def _refused_in_stream(self, step: dict[str, Any], wire: Wire) -> None:
        frames = list(wire.frames())
        if not wire.streams or len(frames) != 1 or frames[0].ids:
            raise Broken("5.7b", f"a refused 0.3 stream has {len(frames)} frames")
        code = json.loads(frames[0].data[0])["error"]["code"]
        self._expect(code == self._user.refusal(step["refused"]), f"refused with {code}")

    def _note(self, rule: str, what: str) -> None:
        if not any(each.rule == rule for each in self.noted):
            self.noted.append(Broken(rule, what))

    def _expect(self, condition: bool, otherwise: str) -> None:
        if not condition:
            raise Broken(self.rule, otherwise)

    def _filled(self, text: str) -> str:
        return text.replace("$run", self._run)

    def _cursor(self, written: Any) -> str | None:
        """The cursor that a step writes. `last` is the newest seq that any stream has shown."""
        if written is None:
            return None
        names = {"last": self._known.last, "last+1": self._known.last + 1, "last-1": self._known.last - 1}
        return str(names.get(written, written))


def _reached(stream: Stream, word: str, value: str) -> bool:
    if word == "seq":
        return (stream.last or 0) >= int(value)
    if word == "events":
        return len(stream.seqs) >= int(value)
    if word == "state":
        return bool(stream.events) and stream.events[-1].state == value
    if word == "kind":
        return any(event.kind == value for event in stream.events)
    if word == "frame":
        return bool(stream.frames) and stream.frames[-1].kind == value
    assert word in ("end", "close"), word
    return False
