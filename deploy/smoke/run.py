"""The checks in their order: what comes first is what the later ones need, so the first failure is the cause."""

from __future__ import annotations

import asyncio
import time

import httpx

from deploy.smoke.agents import check_public_agent
from deploy.smoke.api import Api, timed, value_in
from deploy.smoke.bill import ReadLines, Seen, check_bill
from deploy.smoke.report import Rows, SmokeError, ms, printed, spread
from deploy.smoke.sample import sample
from deploy.smoke.stream import StreamRecord
from deploy.smoke.uploads import check_uploads

# After how many events the stream is cut.
CUT_AFTER = 5
_WHOLE_S = 900.0
# The longest silence of a stream: four heartbeats.
_SILENCE_S = 60.0
# A task that nobody watches begins at once. Otherwise the sweeper would find it, a minute later.
_UNWATCHED_S, _POLL_S = 45.0, 0.5
_COMPLETED = "TASK_STATE_COMPLETED"


class Smoke:
    """One check of a deployment. `rows` are the results."""

    def __init__(self, api: Api, *, lines: ReadLines | None, emulated: bool) -> None:
        self._api = api
        self._lines = lines
        self._emulated = emulated
        self.rows: Rows = []

    async def run(self) -> None:
        """Make all checks.

        Raises:
            SmokeError: the deployment breaks a promise.
        """
        since = time.time()
        await self._page()
        default = await self._agents()
        live, task_id = await self._sample()
        await self._replay(task_id, live)
        await self._end(task_id, len(live.events))
        await self._credential()
        if self._api.known and not self._emulated:
            await check_public_agent(self._api, default, self.rows)
        await check_uploads(self._api, self.rows, emulated=self._emulated)
        unwatched = await self._unwatched()
        self._handoff(live, unwatched)
        if live.cost:
            self.rows.append(("the run by its own account", live.cost))
        seen = Seen(len(self._api.tasks), live.lasted_s, live.open_s, len(live.events))
        await check_bill(self._lines, since, seen, self.rows)

    async def _page(self) -> None:
        page, seconds = await timed(self._api.http.get("/"))
        if page.status_code != 200 or "content-security-policy" not in page.headers:
            raise SmokeError(
                f"GET / answered {page.status_code} without the security headers: {list(page.headers)}.",
                "upload the page: `.venv/bin/python -m deploy.publish STACK`; CloudFront takes a minute after that.",
            )
        self.rows.append(("page", f"200 after {ms(seconds)}"))

    async def _agents(self) -> str:
        """The exec wrapper, after SnapStart's restore: every agent has to be asked for its card.

        Returns the name of the default agent, which is the first one.
        """
        answer, seconds = await timed(self._api.get("/api/agents"))
        if answer.status_code != 200:
            raise SmokeError(
                f"GET /api/agents answered {answer.status_code}: {answer.text[:300]}",
                "401: SECRET or TOKEN is not the deployment's. 502 or 504: the gateway does not start, look into its "
                "log group.",
            )
        agents = value_in(answer, "GET /api/agents", "agents")
        silent = [agent for agent in agents if "name" not in agent]
        if silent:
            raise SmokeError(
                f"{len(silent)} of {len(agents)} agents did not answer after a restore: {silent}.",
                "look into their log groups for `Runtime.` errors. If `make deploy PARAMETERS=SnapStart=off` helps, it "
                "is the restore; with 403 one of the two rights to a Function URL is missing.",
            )
        if not agents:
            raise SmokeError("GET /api/agents has no agent.", "add one to the list of agents in template.yaml.")
        names = [str(agent["name"]) for agent in agents]
        self.rows.append(("agents, restored or started", f"{', '.join(names)} after {ms(seconds)}"))
        return names[0]

    async def _sample(self) -> tuple[StreamRecord, str]:
        """First byte, gaps between frames, a cut and a resume."""
        message = sample()
        started = time.monotonic()
        task_id = await self._api.create(message)
        self.rows.append(("POST /api/tasks", f"201 after {ms(time.monotonic() - started)}"))
        live = StreamRecord()
        while len(live.events) < CUT_AFTER and live.end is None:
            await self._read_on(task_id, live, CUT_AFTER)
        if live.end is not None:
            raise SmokeError(
                f"The sample ended at event {live.end['seq']}, before its stream could be cut.",
                f"`GET /api/tasks/{task_id}` says how it ended.",
            )
        cut_at, connections = len(live.events), len(live.first_byte_s)
        self.rows.append(("first byte of the stream", ms(live.first_byte_s[0])))
        self.rows.append(("first event", ms(live.first_event_s[0])))
        while live.end is None:
            await self._read_on(task_id, live)
        live.lasted_s = time.monotonic() - started
        fastest = min(live.delays_s, default=0.0)
        late = [delay - fastest for delay in live.delays_s]
        self.rows += [
            ("between frames, live", spread(live.gaps_s)),
            ("later than the fastest", f"{spread(late)} (frames held back on the way)"),
            (f"cut after event {cut_at}, resumed", f"first byte after {ms(live.first_byte_s[connections])}"),
        ]
        self._whole(live)
        return live, task_id

    def _whole(self, live: StreamRecord) -> None:
        assert live.end is not None
        if live.end["seq"] != len(live.events):
            raise SmokeError(
                f"The stream ended at event {live.end['seq']} after {len(live.events)} events.",
                "save the replay of this task and the gateway's log lines: this is a bug, please report it.",
            )
        if live.end["state"] != _COMPLETED:
            raise SmokeError(
                f"The sample's task ended as {live.end['state']} instead of {_COMPLETED}.",
                "its last event says why; the agents' log groups have the trace.",
            )
        paused = f", pauses: {live.pauses}" if live.pauses else ""
        over = f"over {len(live.first_byte_s)} connections{paused}"
        self.rows.append(("events", f"{len(live.events)}, each once and in order, {over}"))

    async def _replay(self, task_id: str, live: StreamRecord) -> None:
        again, started = StreamRecord(), time.monotonic()
        while again.end is None:
            await self._read_on(task_id, again)
        if again.events != live.events:
            raise SmokeError(
                "The replay from event 1 differs from the live events.", "this is a bug: save both, please report it."
            )
        self.rows.append(("replay", f"the same {len(again.events)} events, {ms(time.monotonic() - started)}"))

    async def _end(self, task_id: str, last: int) -> None:
        try:
            async with asyncio.timeout(_SILENCE_S):
                after = await self._api.get(f"/api/stream/{task_id}?cursor={last}")
        except (TimeoutError, httpx.TransportError) as error:
            raise SmokeError(
                f"A reader at the end got no whole answer: {error or type(error).__name__}.",
                "an answer without a body hangs: the runtime has to end it with its last chunk. Please report it.",
            ) from None
        if after.status_code != 204:
            raise SmokeError(
                f"A reader at the end was answered {after.status_code} instead of 204.",
                "with 200 an EventSource comes back for ever; look for this task in the gateway's log group.",
            )
        self.rows.append(("a reader at the end", "204"))

    async def _credential(self) -> None:
        if not self._api.known:
            self.rows.append(("without the secret", "not checked: no SECRET and no TOKEN was given"))
            return
        stranger = await self._api.http.get("/api/tasks")
        if stranger.status_code != 401:
            raise SmokeError(
                f"Without the secret, GET /api/tasks answered {stranger.status_code} instead of 401.",
                "do not leave it like this: `make deploy SECRET=…` gives the stack a secret, OidcIssuer=… a sign-in; "
                "with Auth=… your own function lets in who has no credential.",
            )
        self.rows.append(("without the secret", "401"))

    async def _unwatched(self) -> StreamRecord | None:
        """A task runs that nobody watches; its stream is opened only when it is over."""
        if self._emulated:
            self.rows.append(("a task without a viewer", "not checked: containers start too slowly for it"))
            return None
        task_id, started = await self._api.create(sample()), time.monotonic()
        while (state := await self._api.state(task_id)) != _COMPLETED:
            waited = time.monotonic() - started
            if state in ("TASK_STATE_FAILED", "TASK_STATE_REJECTED", "TASK_STATE_CANCELED"):
                raise SmokeError(f"A task without a viewer ended as {state}.", "the agents' log groups have the trace.")
            if state == "TASK_STATE_SUBMITTED" and waited > _UNWATCHED_S:
                raise SmokeError(
                    f"A task without a viewer had not begun after {waited:.0f} s.",
                    "the gateway's log group has `was not dispatched` if it may not invoke the agent; ThrottlesAlarm "
                    "rings, or the queue DeadLetters has a message, if Lambda did not run it.",
                )
            await asyncio.sleep(_POLL_S)
        self.rows.append(("a task without a viewer", f"completed after {time.monotonic() - started:.1f} s"))
        record = StreamRecord()
        while record.end is None:
            await self._read_on(task_id, record)
        return record

    def _handoff(self, *records: StreamRecord | None) -> None:
        kinds = [kind for record in records if record is not None for kind in record.kinds]
        if "handoff" not in kinds:
            how = "`make deploy PARAMETERS=AttemptSeconds=35`, `make smoke`, and 0 again"
            self.rows.append(("hand-off", f"not checked: no attempt came to its end. To check it: {how}"))
            return
        handed, attempts = kinds.count("handoff"), kinds.count("attempt")
        if attempts <= handed:
            raise SmokeError(
                f"{handed} attempts were handed on, but only {attempts} began.",
                "the agent may not invoke itself (its log group has `was not dispatched`), or see DeadLetters.",
            )
        self.rows.append(("hand-off", f"{handed}, and each run went on"))

    async def _read_on(self, task_id: str, record: StreamRecord, stop_after: int | None = None) -> None:
        """Read a connection. Wait as the server wants if it paused or brought nothing."""
        before, pauses = len(record.events), record.pauses
        await self._api.read(task_id, record, stop_after)
        if record.end is None and (record.pauses > pauses or len(record.events) == before):
            await asyncio.sleep(record.retry_s)


async def check(
    url: str, secret: str, *, token: str = "", lines: ReadLines | None = None, emulated: bool = False
) -> Rows:
    """Check the deployment at `url`, print the results and return them.

    A `token` is sent to the gateway instead of the `secret`, which only the agents then get.
    `lines` reads the functions' log lines. `emulated` leaves out what `sam local` cannot do.

    Raises:
        SmokeError: the deployment breaks a promise.
    """
    timeout = httpx.Timeout(30, read=_SILENCE_S)
    async with httpx.AsyncClient(base_url=url, timeout=timeout) as http:
        smoke = Smoke(Api(http, secret, token), lines=lines, emulated=emulated)
        try:
            async with asyncio.timeout(_WHOLE_S):
                await smoke.run()
        except httpx.HTTPError as error:
            what = f"{url} cannot be reached: {error or type(error).__name__}"
            raise SmokeError(what, "the output Url of the stack has the address; a new one takes minutes.") from None
        except TimeoutError:
            what = f"The checks did not end within {_WHOLE_S:.0f} s."
            raise SmokeError(what, "look into the agents' log groups: a run does not end.") from None
        finally:
            print(printed(smoke.rows))
        return smoke.rows
