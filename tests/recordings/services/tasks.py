# mypy: disable-error-code="untyped-decorator,no-untyped-def,import-untyped,import-not-found,misc"
"""Celery's tasks: invoices are made, mailed and archived."""

from __future__ import annotations

import random
import time

from celery import Celery
from celery.utils.log import get_task_logger

app = Celery("tasks", broker="redis://127.0.0.1:6379/0")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    worker_cancel_long_running_tasks_on_connection_loss=True,
    task_soft_time_limit=2,
    task_time_limit=3,
    worker_max_tasks_per_child=60,
    worker_send_task_events=False,
    worker_hijack_root_logger=True,
)
log = get_task_logger(__name__)


@app.task
def invoice(order: int, customer: str) -> str:
    log.info("making invoice %d for customer %s", order, customer)
    time.sleep(random.random() / 20)
    if order % 17 == 0:
        log.warning("customer %s has no address, using the one of order %d", customer, order - 1)
    if order % 23 == 0:
        raise KeyError(f"price of item {order}")
    return f"inv-{order}"


@app.task(bind=True, max_retries=2, default_retry_delay=1)
def mail(self, order: int, host: str) -> None:
    log.info("mailing invoice inv-%d through %s", order, host)
    if order % 7 == 0:
        log.error("mail host %s answered 451 for inv-%d, try again", host, order)
        raise self.retry(exc=ConnectionError(f"451 from {host}"))


@app.task
def archive(order: int, size: int) -> int:
    if order % 29 == 0:
        time.sleep(9)
    log.info("archived %d bytes of inv-%d to bucket archive-%d", size, order, order % 3)
    return size
