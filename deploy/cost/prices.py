"""AWS's list prices, without free tiers. Check them before you rely on them.

Sources: the pricing pages of AWS Lambda, Amazon DynamoDB (on demand), Amazon CloudFront, Amazon CloudWatch, AWS Secrets
Manager, Amazon API Gateway (REST APIs), AWS Fargate and Elastic Load Balancing.
"""

from __future__ import annotations

import msgspec

REGION, ARCHITECTURE, DATE = "us-east-1", "arm64", "November 2026"
HOURS_A_MONTH = 730.0
SECONDS_A_MONTH = HOURS_A_MONTH * 3600


class Price(msgspec.Struct, frozen=True):
    """Dollars for `per` of a unit."""

    dollars: float
    per: float
    unit: str

    def of(self, quantity: float) -> float:
        """Return the dollars for a quantity of the unit."""
        return self.dollars * quantity / self.per


LAMBDA_TIME = Price(0.0000133334, 1, "GB-s of a function")
LAMBDA_REQUESTS = Price(0.20, 1_000_000, "invocations")
SNAPSHOT_KEPT = Price(0.0000015046, 1, "GB-s that a snapshot is kept")
SNAPSHOT_RESTORED = Price(0.0001397998, 1, "GB restored from a snapshot")
WRITES = Price(0.625, 1_000_000, "write units")
READS = Price(0.125, 1_000_000, "read units")
EDGE_REQUESTS = Price(1.00, 1_000_000, "HTTPS requests to CloudFront")
EDGE_BYTES = Price(0.085, 1_000_000_000, "bytes from CloudFront")
EDGE_FUNCTION = Price(0.10, 1_000_000, "requests that CloudFront's function sees")
API_REQUESTS = Price(3.50, 1_000_000, "requests to a REST API")
LOG_BYTES = Price(0.50, 1_000_000_000, "bytes of log lines")
ALARM = Price(0.10, 1, "metrics of alarms, a month")
DASHBOARD = Price(3.00, 1, "dashboards, a month")
SECRET = Price(0.40, 1, "secrets, a month")
FARGATE_CPU = Price(0.03238, 1, "vCPU-hours of Fargate")
FARGATE_MEMORY = Price(0.00356, 1, "GB-hours of Fargate")
BALANCER = Price(0.0225, 1, "hours of a load balancer")
BALANCER_UNIT = Price(0.008, 1, "hours of a load balancer's capacity unit")

PRICES = (
    *(LAMBDA_TIME, LAMBDA_REQUESTS, SNAPSHOT_KEPT, SNAPSHOT_RESTORED, WRITES, READS, EDGE_REQUESTS, EDGE_BYTES),
    *(EDGE_FUNCTION, API_REQUESTS, LOG_BYTES, ALARM, DASHBOARD, SECRET),
    *(FARGATE_CPU, FARGATE_MEMORY, BALANCER, BALANCER_UNIT),
)
