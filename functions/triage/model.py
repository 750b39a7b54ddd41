"""The chat model that `TAILRACE_MODEL` names, if it names one, and what agents have it say.

What it says is streamed: its tokens reach an artifact by themselves, through the graph that is running.
A model that fails never costs a report: every caller has words of its own.
"""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.authoring.emit import progress, write
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


def chat_model() -> BaseChatModel | None:
    """The model of `TAILRACE_MODEL` (`openai:gpt-5.1`, `bedrock_converse:…`), None when it is not set.

    The provider's package is imported here and only then: agents without a model pay nothing for it.

    Raises:
        ConfigError: the provider is unknown or its package is not installed.
    """
    name = Settings.load(os.environ).model
    return _load(name) if name else None


@cache
def _load(name: str) -> BaseChatModel:
    try:
        from langchain.chat_models import init_chat_model

        model = init_chat_model(name)
    except (ImportError, ValueError) as error:
        raise ConfigError("TAILRACE_MODEL", name, f"provider:model of an installed provider ({error})") from None
    return model


class ModelFailed(TailraceError):
    """The model could not be had, or stopped with an error after the words `said`."""

    def __init__(self, said: str, reason: Exception) -> None:
        super().__init__(f"The model failed: {type(reason).__name__}.")
        self.said = said


async def say(system: str, told: Any, *, artifact: str) -> str:
    """What the model says to `told` (plain JSON) under the instruction `system`; nothing without a model.

    Raises:
        ModelFailed: and how far it had come.
    """
    said = ""
    try:
        model = chat_model()
        if model is None:
            return ""
        prompt = [("system", system), ("user", msgspec.json.encode(told).decode())]
        async for chunk in model.astream(prompt, config={"metadata": {"artifact": artifact}}):
            said += str(chunk.text)
    except Exception as error:
        raise ModelFailed(said, error) from error
    return said


async def model_wrote_report(system: str, told: Any) -> bool:
    """Have the model write the `report`; False when the caller has to write its own."""
    try:
        return bool(await say(system, told, artifact="report"))
    except ModelFailed as error:
        progress(f"{error} The report is computed instead.")
        if error.said:
            write("\n\n*The model stopped here. What follows is computed.*\n\n")
        return False
