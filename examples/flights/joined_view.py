"""How good the model was: one SQL query on the view that joins events with their labels.

In: the database's URL, and how many labels are expected. Out: a row for each month, and one for the year.
Labels that were parked or are still searched for are joined by the service a little later, so the query is asked again
until every label is there or the time is over.
"""

import asyncio
import subprocess
import sys
import time
from datetime import datetime

import asyncpg

BY_MONTH = """
SELECT month,
       count(*)                                      AS flights,
       count(late)                                   AS labelled,
       avg(late::int)                                AS late,
       avg((is_alarm = late)::int)                   AS accuracy,
       avg(late::int) FILTER (WHERE is_alarm)        AS precision,
       avg(is_alarm::int) FILTER (WHERE late)        AS recall
FROM (SELECT month, late, late_probability >= 0.5 AS is_alarm
      FROM main.flight_delay_joined
      WHERE event_time <= $1) AS flight
GROUP BY ROLLUP (month)
ORDER BY month NULLS LAST
"""
PAUSE_S = 0.5


class UnreachableError(Exception):
    """The database cannot be found, or does not answer."""


def database_url() -> str:
    """Return the URL of the database the service writes to, as `headrace db url` prints it.

    Raises:
        UnreachableError: There is none that it knows of.
    """
    command = [sys.executable, "-m", "headrace_server", "db", "url"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- a command of ours
    if answer.returncode:
        raise UnreachableError(f"{answer.stderr.strip()}; or name the database: --database-url")
    return answer.stdout.strip()


def performance(url: str, until: datetime, labels: int, timeout_s: float) -> list[asyncpg.Record]:
    """Return the model's performance by month and, in the last row, over all.

    Args:
        url: The database.
        until: Scheduled departure of the last flight that counts.
        labels: How many labels to wait for.
        timeout_s: How long to wait for them, in seconds.

    Raises:
        UnreachableError: The database does not answer, or is another one.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            months = asyncio.run(_ask(url, until))
            if months[-1]["labelled"] >= labels or time.monotonic() > deadline:
                return months
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # it may be on its way back
            if time.monotonic() > deadline:
                raise UnreachableError(f"the database cannot be asked: {error}") from error
        time.sleep(PAUSE_S)


async def _ask(url: str, until: datetime) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        months: list[asyncpg.Record] = await connection.fetch(BY_MONTH, until)
        return months
    finally:
        await connection.close()
