"""Follows a task in the terminal to its end, and asks its user in between."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

from tailrace.a2a.incoming import Part
from tailrace.cli.calling import called
from tailrace.cli.display import Display
from tailrace.cli.exit_codes import Exit, exit_of_state
from tailrace.cli.questions import answers_to, how_to_reply
from tailrace.cli.run_view import RunView, json_line
from tailrace.client import Client, Event, ServerRefused, Task
from tailrace.events import Metadata

# How long a replay waits for the next event at most, in seconds: a task may wait for its user for days.
_LONGEST_WAIT_S = 3.0
_BAD_REQUEST, _INVALID = 400, -32602


class Following:
    """One task that is shown. `asks` says whether its questions are asked in the terminal."""

    def __init__(self, client: Client, display: Display, view: RunView, *, asks: bool) -> None:
        self._client = client
        self._display = display
        self._view = view
        self._asks = asks

    def follow(self, task: Task | str, cursor: int = 0, *, speed: float = 0.0) -> Exit:
        """Show the task from after `cursor` to its end. With a `speed` its events come at their own pace times that."""
        while True:
            last: Event | None = None
            self._display.start()
            try:
                for event in _paced(self._client.stream(task, cursor), speed):
                    self._display.event(event)
                    cursor, last = event.seq or cursor, event
            finally:
                self._display.stop()
            if last is None or not (last.ended or last.waits):
                # Nothing came after the cursor: the task says how it stands.
                return self._over(task)
            if not last.waits or not self._asks or not self._answered(task, last):
                return self._over(task, last)

    def _answered(self, task: Task | str, asking: Event) -> bool:
        """Ask the user, and send the answers. False if there are none."""
        while True:
            try:
                answers = answers_to(asking.questions, self._view.message or asking.text)
            except EOFError:
                return False
            try:
                given = None if answers.by_id is not None or (answers.files and not answers.text) else answers.text
                self._client.reply(
                    task, given, answers=answers.by_id, files=answers.files, on_progress=self._display.uploaded
                )
                return True
            except ServerRefused as error:
                if error.status != _BAD_REQUEST and error.code != _INVALID:
                    raise
                self._display.problem(str(error))  # It does not fit: it is asked again.

    def _over(self, task: Task | str, last: Event | None = None) -> Exit:
        task_id = task if isinstance(task, str) else task.id
        ended = self._fetched(task) if task_id else None
        state = ended.state if ended is not None else last.state if last is not None else self._view.state
        text = ended.text if ended is not None and ended.artifacts else self._view.answer
        if last is not None and last.kind == "answer":
            text = last.text
        if ended is not None:
            self._display.answer(text, ended.data, [place_of(part) for part in ended.files])
            hidden = text.strip() and not all(map(json_line, ended.data))
            if hidden or not all(file.url for file in ended.files):
                self._display.note(f"Its data and its files, as JSON: {called()} tail {task_id} --json")
        else:
            self._display.answer(text, last.data if last is not None else [], [])
        code = exit_of_state(state)
        why = ended.message if ended is not None else self._view.message
        if code is Exit.NEEDS_INPUT:
            questions = ended.questions if ended is not None else last.questions if last is not None else []
            self._display.note(how_to_reply(questions, why))
            which = "--question ID " if len(questions) > 1 else ""
            self._display.problem(
                f"The task waits for an answer. Send it with: {called()} reply {which}{task_id} ANSWER"
            )
        elif code is not Exit.COMPLETED:
            how = state.removeprefix("TASK_STATE_").lower().replace("_", " ") or "without a state"
            self._display.problem(f"The task ended {how}" + (f": {why}" if why else "."))
        return code

    def _fetched(self, task: Task | str) -> Task | None:
        """The task as its server has it; None if it has forgotten it."""
        try:
            return self._client.task(task)
        except ServerRefused:
            return None


def _paced(events: Iterator[Event], speed: float) -> Iterator[Event]:
    """The events, each as long after the one before it as it happened then, divided by `speed`; 0 is at once."""
    before: int | None = None
    for event in events:
        if speed and isinstance(event.details, Metadata):
            if before is not None:
                time.sleep(min(_LONGEST_WAIT_S, max(0, event.details.ts - before) / 1000 / speed))
            before = event.details.ts
        yield event


def is_terminal() -> bool:
    """Whether a person sits there: stdin and stderr are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def place_of(file: Part) -> str:
    """The name of a file, and its URL if the answer has no more than that of it."""
    return " at ".join(filter(None, (file.filename, file.url)))
