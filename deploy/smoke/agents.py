"""The door for other people's clients: `/agents/NAME/`, over the REST API and without a body's SHA-256."""

from __future__ import annotations

from deploy.smoke.api import Api, timed, value_in
from deploy.smoke.report import Rows, SmokeError, ms
from gateway.public_cards import agent_path

_CALL = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}


async def check_public_agent(api: Api, name: str, rows: Rows) -> None:
    """Ask the agent `name`, the default one, as a stock A2A client does, with the token or the secret and without.

    Raises:
        SmokeError: it does not answer, has another address in its card, or answers strangers.
    """
    agent = agent_path(name)
    bearer = {"authorization": api.known.get("authorization", f"Bearer {api.secret}")}
    version = {"a2a-version": "1.0"}
    answer, seconds = await timed(api.http.post(agent, json=_CALL, headers={**version, **bearer}))
    if answer.status_code != 200:
        raise SmokeError(
            f"POST {agent} with the credential, without a digest, answered {answer.status_code}: {answer.text[:300]}",
            "403: the REST API does not get the distribution's key (x-api-key): deploy again. 401: the gateway "
            "does not know the credential. 502: look into its log group for `Runtime.` errors.",
        )
    rows.append(("an A2A client's request", f"200 after {ms(seconds)}, without a digest"))
    stranger = await api.http.post(agent, json=_CALL, headers=version)
    if stranger.status_code != 401:
        raise SmokeError(
            f"POST {agent} without a credential answered {stranger.status_code} instead of 401.",
            "switch the deployment off (`make destroy`), and report it: strangers can ask its agents.",
        )
    path = f"{agent}.well-known/agent-card.json"
    interfaces = value_in(await api.http.get(path, headers=version), f"GET {path}", "supportedInterfaces")
    urls = [interface["url"] for interface in interfaces]
    own = f"//{api.http.base_url.netloc.decode()}{agent}".rstrip("/")
    if not urls or not all(own in url for url in urls):
        raise SmokeError(
            f"The card at {agent} has the addresses {urls}, which are not below {own}.",
            "the CloudFront function ViewerHost is not associated with /agents/*: deploy again.",
        )
