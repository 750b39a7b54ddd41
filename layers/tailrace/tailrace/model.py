"""The chat model that `TAILRACE_MODEL` names, if it names one."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from tailrace.config import Settings
from tailrace.errors import ConfigError

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
