"""The load: visitors who come at random, look around, put things into a cart, and sometimes buy.

Each kind of visitor has its own address in 127.0.0.0/8, so the access log tells them apart. A visitor tries a failed
request once more after a moment, and leaves if it fails again.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass

import httpx

HOST = "shop.example"
REQUESTS_PER_VISIT = 6.4  # a measured average
MOST_VISITS = 200  # at the same time
CHECK_SECONDS = 5.0
WORDS = ["lamp", "oak", "green+chair", "rug", "brass", "folding+desk", "clock", "mirror"]

Step = tuple[str, str, dict[str, int] | None]  # method, path, JSON body


@dataclass(frozen=True)
class Visitor:
    address: str
    agent: str
    weight: int
    timeout: float  # in seconds; nginx logs a request that its client gave up as 499


BROWSER = "Mozilla/5.0 ({}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 ({0}; rv:132.0) Gecko/20100101 Firefox/132.0"
VISITORS = [
    Visitor("127.0.0.11", BROWSER.format("Windows NT 10.0; Win64; x64"), 30, 30),
    Visitor("127.0.0.12", BROWSER.format("Macintosh; Intel Mac OS X 10_15_7"), 16, 30),
    Visitor("127.0.0.13", FIREFOX.format("Windows NT 10.0; Win64; x64"), 10, 30),
    Visitor("127.0.0.14", FIREFOX.format("X11; Linux x86_64"), 5, 30),
    Visitor("127.0.0.15", "ShopApp/4.2 (iOS 18.1)", 20, 4),
    Visitor("127.0.0.16", "ShopApp/4.2 (Android 15)", 14, 4),
    Visitor("127.0.0.17", "ShelfBot/1.3 (+https://bot.example/)", 5, 10),
]
CHECKER = Visitor("127.0.0.2", "uptime-check/1.0", 0, 3)


class Load:
    """Visitors who send `rate` requests per second on average, until `run` is cancelled."""

    def __init__(self, port: int, rate: float) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.visits_per_second = rate / REQUESTS_PER_VISIT
        self.chance = random.Random()  # noqa: S311
        self.clients: dict[Visitor, httpx.AsyncClient] = {}

    async def run(self) -> None:
        async with AsyncExitStack() as stack:
            for visitor in [*VISITORS, CHECKER]:
                self.clients[visitor] = await stack.enter_async_context(self.client(visitor))
            async with asyncio.TaskGroup() as visits:
                visits.create_task(self.check())
                weights = [visitor.weight for visitor in VISITORS]
                running: set[asyncio.Task[None]] = set()
                while True:
                    await asyncio.sleep(self.chance.expovariate(self.visits_per_second))
                    running = {visit for visit in running if not visit.done()}
                    if len(running) < MOST_VISITS:
                        [visitor] = self.chance.choices(VISITORS, weights)
                        running.add(visits.create_task(self.visit(visitor)))

    def client(self, visitor: Visitor) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(
            verify=False,  # plain HTTP on loopback; loading the certificates takes time
            local_address=visitor.address,
            limits=httpx.Limits(max_connections=None, keepalive_expiry=10),
        )
        headers = {"Host": HOST, "User-Agent": visitor.agent}
        return httpx.AsyncClient(transport=transport, base_url=self.base, headers=headers, timeout=visitor.timeout)

    async def check(self) -> None:
        while True:
            await self.send(CHECKER, "GET", "/health")
            await asyncio.sleep(CHECK_SECONDS)

    async def visit(self, visitor: Visitor) -> None:
        """Send the requests of one visit, with pauses in which the visitor reads."""
        customer = str(self.chance.randrange(1, 900))
        for method, path, body in self.plan(visitor):
            if not await self.send_twice(visitor, method, path, body, customer):
                return
            await asyncio.sleep(self.chance.uniform(0.2, 1.6))

    def plan(self, visitor: Visitor) -> list[Step]:
        """Return the requests of one visit, in order."""
        wanted = 1 + int(400 * self.chance.random() ** 3)
        steps: list[Step] = []
        if visitor.agent.startswith("ShelfBot"):
            first = self.chance.randrange(1, 25_100)  # there are no products from 25,001 on: 404, as for robots.txt
            products: list[Step] = [("GET", f"/api/products/{first + n}", None) for n in range(5)]
            return [("GET", "/robots.txt", None), *products]
        steps.append(("GET", "/", None))
        if visitor.agent.startswith("Mozilla"):
            steps += [("GET", "/static/style.css", None), ("GET", "/static/app.js", None)]
            if self.chance.random() < 0.1:
                steps.append(("GET", "/favicon.ico", None))  # 404
        if self.chance.random() < 0.4:
            steps.append(("GET", f"/api/search?q={self.chance.choice(WORDS)}", None))
        for _ in range(self.chance.randrange(3)):
            steps.append(("GET", f"/api/products/{1 + int(400 * self.chance.random() ** 3)}", None))
        steps.append(("GET", f"/api/products/{wanted}", None))
        if self.chance.random() < 0.6:
            steps += [("POST", "/api/cart", {"product": wanted}), ("GET", "/api/cart", None)]
            if self.chance.random() < 0.5:
                steps.append(("POST", "/api/checkout", {}))
        return steps

    async def send_twice(
        self, visitor: Visitor, method: str, path: str, body: dict[str, int] | None, customer: str
    ) -> bool:
        """Send a request, and once more if it fails. Return whether it succeeded."""
        for pause in (0.5, 0.0):
            status = await self.send(visitor, method, path, body, customer)
            if status is not None and status < 500:
                return True
            await asyncio.sleep(pause)
        return False

    async def send(
        self,
        visitor: Visitor,
        method: str,
        path: str,
        body: dict[str, int] | None = None,
        customer: str = "0",
    ) -> int | None:
        """Return the status of the response; None if the visitor gave up or the connection broke."""
        try:
            headers = {"X-Customer": customer}
            response = await self.clients[visitor].request(method, path, json=body, headers=headers)
        except httpx.HTTPError:
            return None
        return response.status_code
