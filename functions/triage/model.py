"""The optional chat model (`TAILRACE_MODEL`) that may plan and write reports.

The graph's run streams its tokens into an artifact as they come. A model that fails costs no report: every caller
can do without it.
"""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from tailrace.authoring.emit import progress, write
from tailrace.config import Settings
from tailrace.errors import ConfigError, TailraceError
from triage.model_key import key_in

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

logger = logging.getLogger("tailrace.model")


def chat_model() -> BaseChatModel | None:
    """Return the model that `TAILRACE_MODEL` names (`openai:gpt-5.1`, `bedrock_converse:…`), None if it is unset.

    The provider's package is imported here, so that agents without a model do not pay for it.

    Raises:
        ConfigError: the provider is unknown or its package is not installed.
    """
    settings = Settings.load(os.environ)
    return _load(settings.model, settings.model_key) if settings.model else None


@cache
def _load(name: str, secret: str) -> BaseChatModel:
    # Bedrock is asked with the function's role. A key is another provider's, from before.
    takes_key = bool(secret) and not name.startswith("bedrock")
    key: dict[str, Any] = {"api_key": key_in(secret)} if takes_key else {}
    try:
        from langchain.chat_models import init_chat_model

        model: BaseChatModel = init_chat_model(name, **key)
    except (ImportError, ValueError) as error:
        raise ConfigError("TAILRACE_MODEL", name, f"provider:model of an installed provider ({error})") from None
    return model


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


async def model_wrote_report(instruction: str, facts: Any) -> bool:
    """Have the model write the `report` artifact; return False if the caller has to write it."""
    try:
        return bool(await ask_model(instruction, facts, artifact="report"))
    except ModelFailed as error:
        progress(f"{error} The report is written without it.")
        if error.text:
            write("\n\n*The model stopped here. The rest is written without it.*\n\n", artifact="report")
        return False
