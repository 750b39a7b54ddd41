"""The optional chat model that may plan and write reports.

The graph's run streams its tokens into an artifact as they come. A model that fails costs no report: every caller
can do without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from tailrace.authoring.emit import progress, write
from tailrace.chat_model import chat_model
from tailrace.errors import TailraceError

logger = logging.getLogger("tailrace.model")


class ModelFailed(TailraceError):
    """The model could not be loaded or stopped with an error; `text` is what it wrote until then."""

    def __init__(self, text: str, reason: Exception) -> None:
        super().__init__(f"The model failed: {type(reason).__name__}.")
        self.text = text


async def ask_model(instruction: str, facts: Any, *, artifact: str) -> str:
    """Return the model's answer to `facts` (plain JSON) under the system prompt `instruction`; "" without a model.

    Its tokens also become text of `artifact`.

    Raises:
        ModelFailed: the model could not be loaded or stopped with an error.
    """
    text = ""
    try:
        model = chat_model()
        if model is None:
            return ""
        prompt = [("system", instruction), ("user", msgspec.json.encode(facts).decode())]
        async for chunk in model.astream(prompt, config={"metadata": {"artifact": artifact}}):
            text += str(chunk.text)
    except Exception as error:
        logger.warning("the model failed: %s: %s", type(error).__name__, error)
        raise ModelFailed(text, error) from error
    return text


async def write_report(instruction: str, facts: Any, sections: Iterable[str]) -> None:
    """Write the `report` artifact: with the model or, if there is none or it fails, from `sections`."""
    try:
        if await ask_model(instruction, facts, artifact="report"):
            return
    except ModelFailed as error:
        progress(f"{error} The report is written without it.")
        if error.text:
            write("\n\n*The model stopped here. The rest is written without it.*\n\n", artifact="report")
    for section in sections:
        write(section, artifact="report")
        await asyncio.sleep(0)
