"""An event costs the page's model the same however many came before: what it touches is counted, not the time."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.support.browser import needs_chromium

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

# Counts what is gone through: members of collections, and characters of texts.
MODEL = """async ([kind, n]) => {
    let touched = 0;
    const counted = (prototype, names, sizeOf) => names.map((name) => {
        const original = prototype[name];
        prototype[name] = function (...args) {
            touched += sizeOf(this);
            return original.apply(this, args);
        };
        return () => (prototype[name] = original);
    });
    const searches = ["filter", "map", "flatMap", "find", "findLast", "some", "every", "includes", "indexOf"];
    const changes = ["slice", "splice", "shift", "join", "concat", "forEach", Symbol.iterator];
    const iterators = ["keys", "values", "entries", "forEach", Symbol.iterator];
    const { applyEvent, newTask } = await import("/task-state.js");
    const meta = (own) => ({ "urn:tailrace:a2a:resume:1": { ts: 1, agent: "a", ...own } });
    const status = (kind, own = {}, state = "WORKING", text = "words") => {
        const message = { role: "ROLE_AGENT", parts: [{ text }] };
        const metadata = meta({ kind, ...own });
        return { statusUpdate: { status: { state: `TASK_STATE_${state}`, message }, metadata } };
    };
    const artifact = (artifactId, part) => ({
        artifactUpdate: { artifact: { artifactId, parts: [part] }, append: true, metadata: meta({ step: "0" }) },
    });
    const makes = {
        nodes: (i) => [status("node_start", { step: `${i}`, name: "same" })],
        nested: (i) => [status("node_start", { step: `${i}`, parent: `${i - 1}`, name: "same" })],
        asks: (i) => [
            status("node_start", { step: `${i}`, name: `${i}` }),
            status("node_end", { step: `${i}`, interrupted: true }),
            status("state", {}, "INPUT_REQUIRED", `${i}`),
            status("state"),
        ],
        takeovers: (i) => [
            status("node_start", { step: "same", name: "same" }),
            status("attempt", { attempt: i, supersedes: ["same"] }),
        ],
        progress: () => [status("progress", { step: "0" })],
        said: (i) => [status("message", { step: "0", message: `${i % 70}` })],
        calls: (i) => [status("tool_call", { step: "0", message: "1", call: `${i % 70}`, input: "{" })],
        usage: (i) => [status("usage", { step: "0", name: `${i % 7}`, usage: { input: 1, output: 1, calls: 1 } })],
        findings: (i) => [artifact("findings", { data: { findings: [{ i }] } })],
        text: () => [artifact("report", { text: "word " })],
    };
    const made = Array.from({ length: n }, (_, i) => makes[kind](i + 1)).flat();
    const events = [status("node_start", { step: "0" }), ...made];
    const task = newTask();
    const restore = [
        counted(Array.prototype, [...searches, ...changes], (list) => 1 + list.length),
        counted(Map.prototype, iterators, (map) => 1 + map.size),
        counted(Set.prototype, iterators, (set) => 1 + set.size),
        counted(String.prototype, ["slice", "split", "replace"], (text) => text.length),
    ].flat();
    try {
        for (let at = 0; at < events.length; at += 1) applyEvent(task, at + 1, events[at]);
    } finally {
        for (let at = 0; at < restore.length; at += 1) restore[at]();
    }
    return [task.seq, touched];
}"""


@pytest.mark.parametrize(
    "kind",
    ["nodes", "nested", "asks", "takeovers", "progress", "said", "calls", "usage", "findings", "text"],
)
async def test_an_event_costs_the_same_however_many_came_before(modules_page: Page, kind: str) -> None:
    events, touched = await modules_page.evaluate(MODEL, [kind, 2_000])
    more_events, more_touched = await modules_page.evaluate(MODEL, [kind, 20_000])
    assert more_events >= 20_000
    assert 0 < more_touched / more_events < 1.25 * touched / events
