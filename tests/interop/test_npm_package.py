"""frontend/ is a package of npm: `npm pack` makes it, its imports are in it, its types fit the AI SDK's and AG-UI's."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from tests.interop.cached import HERE, node_with
from tests.support.react_chat import ROOT, packages

FRONTEND = ROOT / "frontend"
# What `tsc` has to find: the transport is one of the SDK's, the agent one of AG-UI's, and what they take is checked.
USES = """
import type { AbstractAgent, BaseEvent, HttpAgent } from "@ag-ui/client";
import type { ChatTransport, UIMessage } from "ai";
import { RefusedError, TailraceHttpAgent } from "tailrace/agui-agent";
import { TailraceChatTransport } from "tailrace/chat-transport";
import { EventStream } from "tailrace/event-stream";
import { ProgressTimeline } from "tailrace/progress-timeline";

const transport: ChatTransport<UIMessage> = new TailraceChatTransport({
  agent: "greeter",
  headers: () => ({ authorization: "Bearer x" }),
});
const stream = new EventStream((cursor: number) => `/api/stream/1?cursor=${cursor}`, { onEvent: ({ seq }) => seq + 1 });
const timeline: HTMLElement = new ProgressTimeline();
// @ts-expect-error
new TailraceChatTransport({ agent: 5 });
const agent = new TailraceHttpAgent({ url: "/api/agui/greeter", headers: { authorization: "Bearer x" } });
const agents: [AbstractAgent, HttpAgent, TailraceHttpAgent] = [agent, agent, agent.clone()];
const task: string = agent.task;
const over: Promise<void> = agent.cancelRun();
const input = { threadId: "t", runId: "r", messages: [], tools: [], context: [] };
agent.run(input).subscribe((event: BaseEvent) => event.type);
agent.connectAgent({}, { onRunFailed: ({ error }) => void (error instanceof RefusedError && error.status + 1) });
// @ts-expect-error
new TailraceHttpAgent({ threadId: "t" });
// @ts-expect-error
agent.run({ threadId: "t" }).subscribe();
export { transport, stream, timeline, agents, task, over };
"""
_IMPORT = re.compile(r"""(?:from|import\()\s*["'](\.[^"']+)["']""")


def run(folder: Path, *command: str | Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_page_has_the_modules_that_the_package_names() -> None:
    package = json.loads((FRONTEND / "package.json").read_text())
    held = {name for name in package["files"] if name.endswith(".js")}
    exported = {each["default"].removeprefix("./") for each in package["exports"].values()}
    assert exported <= held
    for name in held:
        imported = {each.removeprefix("./") for each in _IMPORT.findall((FRONTEND / name).read_text())}
        assert imported <= held, name


async def test_npm_packs_it_with_types_that_fit_the_ai_sdk_and_ag_ui() -> None:
    _, folder = await asyncio.to_thread(packages)
    _, agui = await asyncio.to_thread(node_with, HERE / "agui")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        source, uses = Path(made) / "frontend", Path(made) / "uses"
        shutil.copytree(FRONTEND, source, ignore=shutil.ignore_patterns("sample", "findings", "types", "node_modules"))
        (Path(made) / "node_modules").symlink_to(agui / "node_modules")
        path = f"{folder / 'node_modules' / '.bin'}:{os.environ['PATH']}"
        packing = await asyncio.create_subprocess_exec(
            *("npm", "pack", "--foreground-scripts=false"), cwd=source, env={**os.environ, "PATH": path},
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, errors = await packing.communicate()
        assert packing.returncode == 0, errors.decode()
        (packed,) = source.glob("*.tgz")
        with tarfile.open(packed) as archive:
            archive.extractall(uses / "node_modules", filter="data")
        (uses / "node_modules" / "package").rename(uses / "node_modules" / "tailrace")
        (uses / "uses.ts").write_text(USES)
        (uses / "package.json").write_text('{"type": "module"}')
        # A framework that renders pages on a server imports it there too.
        names = ("chat-transport", "event-stream", "progress-timeline")
        imports = ";".join(f"await import('tailrace/{name}')" for name in names)
        await asyncio.to_thread(run, uses, "node", "--input-type=module", "-e", imports)
        tsc = folder / "node_modules" / ".bin" / "tsc"
        checks = ("--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext", "--target", "es2022", "uses.ts")
        await asyncio.to_thread(run, uses, tsc, *checks)
