"""Plays a scenario against a URL over plain HTTP, and raises `Broken` where the server breaks it."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.resume.interfaces import EXTENSION, TERMINAL, Event, Interface, Task
from tests.resume.rules import Broken, Known, Stream
from tests.resume.scenarios import Scenario
from tests.resume.wire import SILENCE_S, Frame, Wire

# How long a step waits for a frame.
PATIENCE_S = 60.0


@dataclass(frozen=True)
class Target:
    """Where a server is, and the headers that say who asks there; `others` say that somebody else does."""

    browser: str | None = None
    agent: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] | None = None

    def url(self, via: str) -> str | None:
        return self.browser if via == "browser" else self.agent


@dataclass
class Seen:
    """What a step has read, from one or several streams."""

    frames: list[Frame] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    gaps: list[dict[str, int]] = field(default_factory=list)

    def text(self, artifact: str = "response") -> str:
        text = ""
        for event in self.events:
            for each in event.body.get("artifacts") or [] if event.form == "task" else []:
                if each["artifactId"] == artifact:
                    text = "".join(part.get("text", "") for part in each["parts"])
            if (told := event.text) and told[0] == artifact:
                text = text + told[1] if told[2] else told[1]
        return text

    @property
    def state(self) -> str | None:
        return next((event.state for event in reversed(self.events) if event.state), None)


def play(scenario: Scenario, via: str, target: Target) -> None:
    """Play it in one way. Raises Broken; or httpx.HTTPError where the server could not be reached."""
    with httpx.Client(timeout=httpx.Timeout(10.0, read=SILENCE_S)) as client:
        player = Player(scenario, via, target, client)
        with contextlib.closing(player):
            for step in scenario.steps:
                player.rule = step.get("rule", scenario.checks[0])
                getattr(player, f"do_{step['do']}")(step)


class Player:
    """The state of one scenario: its task, its streams, and what they have shown."""

    def __init__(self, scenario: Scenario, via: str, target: Target, client: httpx.Client) -> None:
        url = target.url(via)
        assert url is not None, f"there is no URL for {via}"
        self.rule = ""
        self._client = client
        self._mortal = scenario.needs == "death"
        self._me = Interface(via, url, target.headers)
        self._other = Interface(via, url, target.others or {})
        self._run = uuid.uuid4().hex[:12]
        self._known = Known()
        self._task = Task(str(uuid.uuid4()), self._me.message("nothing yet"))
        self._streams: dict[str, Stream] = {}

    def close(self) -> None:
        for stream in self._streams.values():
            stream.wire.cut()

    # Steps

    def do_create(self, step: dict[str, Any]) -> None:
        """Begin the task that the rest is about; under a `key` once more, the same one."""
        request, message = self._me.creation(self._filled(step["text"]), f"{self._run}-{step.get('key', 'task')}")
        response = self._send(request)
        if self._refused(step, response):
            return
        self._expect(response.status_code == (201 if self._me.browser else 200), f"creating got {response.text[:300]}")
        told = self._me.created(response.json())
        self._expect(told == self._task.id or not step.get("same"), f"sent again it is another task: {told}")
        self._task = Task(told, message)

    def do_open(self, step: dict[str, Any]) -> None:
        """Open a stream, or be refused."""
        me = self._other if step.get("who") == "other" else self._me
        cursor = self._cursor(step.get("cursor"))
        self._opened(step, me.opening(self._task, cursor, step.get("place", "header")), cursor)

    def do_read(self, step: dict[str, Any]) -> None:
        """Read a stream until something has come."""
        stream = self._streams[step.get("stream", "stream")]
        self._read(stream, step["until"])
        seen = Seen(stream.frames, stream.seqs, stream.events, stream.gaps)
        self._check(step, seen, stream)

    def do_follow(self, step: dict[str, Any]) -> None:
        """Read from the beginning to the end, coming back with the cursor after each cut, theirs and ours."""
        seen, cursor, ended = Seen(), 0, False
        limit = time.monotonic() + PATIENCE_S
        while not ended:
            self._expect(time.monotonic() < limit, f"no end in sight after {PATIENCE_S:g} s, at {cursor}")
            with contextlib.suppress(*self._retried):
                wire = Wire(self._client, self._me.opening(self._task, str(cursor), "header"))
                if wire.response.status_code == 204:
                    return self._check(step, seen, None)
                stream = self._take_up("follow", wire, str(cursor))
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
        """Answer the question; into a `stream` of its own if the step names one."""
        key = f"{self._run}-{step.get('key', 'reply')}"
        if "stream" in step:
            cursor = self._cursor(step.get("cursor"))
            request = self._me.streamed_reply(self._task, self._filled(step["text"]), key, cursor)
            self._opened(step, request, cursor, snapshot=cursor is None)
            return
        response = self._send(self._me.reply(self._task, self._filled(step["text"]), key))
        if not self._refused(step, response):
            self._expect(response.status_code == (202 if self._me.browser else 200), f"got {response.text[:300]}")
            self._expect(self._me.browser or "result" in response.json(), f"the reply got {response.text[:300]}")

    def do_cancel(self, step: dict[str, Any]) -> None:
        response = self._send(self._me.cancel(self._task))
        if not self._refused(step, response):
            self._expect(response.status_code == (202 if self._me.browser else 200), f"got {response.text[:300]}")
            self._expect(self._me.browser or "result" in response.json(), f"cancelling got {response.text[:300]}")

    def do_release(self, step: dict[str, Any]) -> None:
        """Open a gate: by a task of its own, so that it works over any interface."""
        request, _ = self._me.creation(f"open {self._filled(step['gate'])}", f"{self._run}-open-{step['gate']}")
        response = self._send(request)
        self._expect(response.is_success, f"opening a gate got {response.text[:300]}")

    def do_get(self, step: dict[str, Any]) -> None:
        """The task as a whole, with every event that a stream has shown."""
        me = self._other if step.get("who") == "other" else self._me
        response = self._send(me.reading(self._task))
        if self._refused(step, response):
            return
        task = response.json() if me.browser else response.json()["result"]
        if "state" in step:
            self._expect(task["status"]["state"] == f"TASK_STATE_{step['state']}", f"the state is {task['status']}")
        if "text" in step:
            texts = {each["artifactId"]: each["parts"][0].get("text") for each in task.get("artifacts", [])}
            self._expect(texts.get("response") == step["text"], f"the response is {texts.get('response')!r}")
        seq = task["metadata"][EXTENSION]["seq"]
        self._expect(seq >= self._known.last, f"the task is as of {seq}, after {self._known.last} was shown")

    def do_card(self, _: dict[str, Any]) -> None:
        """The agent says in its card that it has the extension."""
        card = self._client.send(self._me.card()).json()
        declared = [each for each in card["capabilities"].get("extensions", []) if each["uri"] == EXTENSION]
        self._expect(declared != [] and not declared[0].get("required"), f"the card declares {declared}")

    def do_request(self, step: dict[str, Any]) -> None:
        """Any request, refused with a status; `size` puts so many blanks behind the body."""
        body = self._filled(step.get("body", "")) + " " * step.get("size", 0)
        path = step["path"].replace("$task", self._task.id)
        headers = {**self._me.headers, "Content-Type": "application/json", **step.get("headers", {})}
        url = self._me.url + path
        response = self._client.request(step["method"], url, content=body.encode() or None, headers=headers)
        self._expect(response.status_code == step["status"], f"got {response.status_code}: {response.text[:300]}")
        if self._me.browser:
            self._problem(response)

    # Reading

    def _opened(
        self, step: dict[str, Any], request: httpx.Request, cursor: str | None, *, snapshot: bool = False
    ) -> None:
        """Open a stream by a request, or be refused."""
        wire = Wire(self._client, request)
        if "refused" in step and self._me.via == "0.3":
            self._refused_in_stream(step, wire)
        elif "refused" in step or step.get("status", 200) != 200:
            wire.body()
            if not self._refused(step, wire.response):
                status = wire.response.status_code
                self._expect((status, wire.body()) == (step["status"], b""), f"opening got {status}, {wire.body()!r}")
        else:
            self._take_up(step.get("stream", "stream"), wire, cursor, snapshot=snapshot)

    def _take_up(self, name: str, wire: Wire, cursor: str | None, *, snapshot: bool = False) -> Stream:
        headers, status = wire.response.headers, wire.response.status_code
        if not wire.streams or status != 200:
            raise Broken("4.5a", f"opening got {status}: {wire.body()[:300]!r}")
        if headers.get("cache-control") != "no-store" or headers.get("x-accel-buffering") != "no":
            raise Broken("4.5a", f"the stream's headers are {dict(headers)}")
        echoed = headers.get("a2a-extensions", headers.get("x-a2a-extensions", ""))
        if not self._me.browser and EXTENSION not in echoed:
            raise Broken("5.1b", f"the stream's extensions are {echoed!r}")
        begins_at_1 = not cursor and (self._me.browser or self._me.sends) and not snapshot
        stream = Stream(
            self._me,
            self._task.id,
            0 if begins_at_1 else int(cursor) if cursor else None,
            wire,
            self._known,
        )
        self._streams[name] = stream
        return stream

    def _read(self, stream: Stream, until: str) -> None:
        word, _, what = until.partition(" ")
        limit = time.monotonic() + PATIENCE_S
        while not _reached(stream, word, what):
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
        over = stream.ended or (stream.cursor is not None and self._known.terminal == stream.cursor)
        if word == "end" and (not over or stream.wire.closed != "complete"):
            raise Broken("4.6b", f"the stream was closed ({stream.wire.closed}) without its end, at {stream.last}")

    def _check(self, step: dict[str, Any], seen: Seen, stream: Stream | None) -> None:
        """What a step says of what it has read."""
        own = {"from": seen.seqs[:1], "to": seen.seqs[-1:]}
        for key, value in own.items():
            if key in step:
                wanted = self._cursor(step[key])
                self._expect([str(each) for each in value] == [wanted], f"read {key} {value}, not {wanted}")
        if "text" in step:
            self._expect(seen.text() == step["text"], f"the text adds up to {seen.text()!r}, not {step['text']!r}")
        if "state" in step:
            self._expect(seen.state == step["state"], f"the state is {seen.state}, not {step['state']}")
        if "frames" in step:
            frames = _collapsed(seen.frames)
            self._expect(frames == step["frames"], f"the frames are {frames}, not {step['frames']}")
        if "kinds" in step:
            kinds = iter(event.kind for event in seen.events)
            self._expect(all(kind in kinds for kind in step["kinds"]), f"no {step['kinds']}, in this order")
        if "gap" in step:
            gaps = [[gap["from"], gap["to"]] for gap in seen.gaps]
            self._expect(gaps == [step["gap"]], f"the gaps are {gaps}, not {step['gap']}")
        if "retry" in step:
            told = [each for frame in seen.frames for each in frame.retries]
            self._expect(told == [str(each) for each in step["retry"]], f"retry says {told}, not {step['retry']}")
        if "asks" in step:
            said = [event.body["status"].get("message") for event in seen.events if event.state == "INPUT_REQUIRED"]
            self._expect(bool(said) and said[-1]["parts"][0]["text"] == step["asks"], f"what is asked is {said}")
        if step.get("closed") and stream is not None:
            self._closed(step["closed"], stream)
        for number, event in enumerate(seen.events):
            if event.kind == "attempt":
                _superseded(seen.events[:number], event, seen.events[number + 1 :])

    def _closed(self, how: str, stream: Stream) -> None:
        self._expect(not stream.ended, f"a {how} stream says that it has ended")
        if how == "rotated":
            last = stream.frames[-1].kind
            self._expect((stream.wire.closed, last) == ("complete", "retry"), f"closed {stream.wire.closed} at {last}")

    # Requests

    @property
    def _retried(self) -> tuple[type[Exception], ...]:
        return (httpx.TransportError,) if self._mortal else ()

    def _send(self, request: httpx.Request) -> httpx.Response:
        """Send a request; the same again where the server may have died of it."""
        limit = time.monotonic() + PATIENCE_S
        while True:
            try:
                return self._client.send(request)
            except httpx.TransportError:
                if not self._mortal or time.monotonic() > limit:
                    raise

    def _refused(self, step: dict[str, Any], response: httpx.Response) -> bool:
        """Whether it had to be refused, and was."""
        why = step.get("refused")
        if why is None:
            return False
        wanted, text = self._me.refusal(why), response.text[:300]
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            raise Broken("4.5b", "a refused stream is a stream")
        rest = self._me.bare and response.request.url.path != "/"
        if self._me.browser:
            self._expect(response.status_code == wanted, f"got {response.status_code}, not {wanted}: {text}")
            self._problem(response)
            if why == "full" and not response.headers.get("retry-after", "").isdigit():
                raise Broken("6.11a", "a 503 without Retry-After")
            return True
        error = response.json().get("error") or {}
        if self._me.bare and not rest:
            wanted = Interface("subscribe", "", {}).refusal(why)
        got = error.get("code")
        self._expect(got == wanted, f"got {got}, not {wanted}: {text}")
        if -32009 <= (wanted if not rest else 0) <= -32001 and not error.get("data"):
            raise Broken("5.5a", f"an error of A2A's own without ErrorInfo: {text}")
        return True

    def _problem(self, response: httpx.Response) -> None:
        kind, text = response.headers.get("content-type"), response.text[:300]
        told = response.json() if kind == "application/problem+json" else {}
        if not told.keys() >= {"type", "title", "status", "detail"} or told["status"] != response.status_code:
            raise Broken("6.9a", f"an error is {kind}: {text}")

    def _refused_in_stream(self, step: dict[str, Any], wire: Wire) -> None:
        frames = list(wire.frames())
        if not wire.streams or len(frames) != 1 or frames[0].ids:
            raise Broken("5.7b", f"a refused 0.3 stream has {len(frames)} frames")
        code = json.loads(frames[0].data[0])["error"]["code"]
        self._expect(code == self._me.refusal(step["refused"]), f"refused with {code}")

    def _expect(self, kept: bool, otherwise: str) -> None:
        if not kept:
            raise Broken(self.rule, otherwise)

    def _filled(self, text: str) -> str:
        return text.replace("$run", self._run)

    def _cursor(self, given: Any) -> str | None:
        """A cursor as it is written: `last` is the newest seq that any stream has shown."""
        if given is None:
            return None
        names = {"last": self._known.last, "last+1": self._known.last + 1, "last-1": self._known.last - 1}
        return str(names.get(given, given))


def _reached(stream: Stream, word: str, what: str) -> bool:
    if word == "seq":
        return (stream.last or 0) >= int(what)
    if word == "events":
        return len(stream.seqs) >= int(what)
    if word == "state":
        return bool(stream.events) and stream.events[-1].state == what
    if word == "kind":
        return any(event.kind == what for event in stream.events)
    if word == "frame":
        return bool(stream.frames) and stream.frames[-1].kind == what
    assert word in ("end", "close"), word
    return False


def _collapsed(frames: list[Frame]) -> list[str]:
    """The kinds of frames in order, without comments; consecutive events count as one."""

    def kinds() -> Iterator[str]:
        before = ""
        for frame in frames:
            if frame.kind != "comment" and not frame.kind == before == "event":
                yield frame.kind
                before = frame.kind

    return list(kinds())


def _superseded(before: list[Event], fence: Event, after: list[Event]) -> None:
    """A step that had begun and not ended, and begins again, has to be in what the fence supersedes."""
    begun = {event.meta["step"] for event in before if event.kind == "node_start"}
    begun -= {event.meta["step"] for event in before if event.kind == "node_end" and not event.meta.get("interrupted")}
    again = {event.meta["step"] for event in after if event.kind == "node_start"}
    if missing := (begun & again) - set(fence.meta["supersedes"]):
        raise Broken("7.3b", f"steps begin again that attempt {fence.meta['attempt']} does not supersede: {missing}")


__all__ = ["EXTENSION", "TERMINAL", "Broken", "Player", "Target", "play"]
