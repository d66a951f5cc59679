"""What headrace says of the second half: roll-ups through the SDK, what came late by SQL on views and functions.

In: the handle of the model, its name, the database's URL. Out: the figures that `recomputed` has, under the same names.
"""

from datetime import datetime
from typing import Any

import asyncpg
import pandas as pd

import headrace
from examples.flights.half_years import AIRPORT, REVISED_BY, SHADOW
from examples.flights.recomputed import COMPARED, DRIFTING, MEASURES

INFLUENCES = """
SELECT avg(abs(carrier)) AS carrier, avg(abs(origin)) AS origin, avg(abs(dest)) AS dest, avg(abs(distance)) AS distance,
       avg(abs(month)) AS month, avg(abs(weekday)) AS weekday, avg(abs(hour)) AS hour, avg(abs(dep_delay)) AS dep_delay
FROM main.{model}_influences_latest
"""
# What moved a score away from the base value adds up to it.
EXPLAINED = """
SELECT count(*) AS flights,
       avg(base_value + carrier + origin + dest + distance + month + weekday + hour + dep_delay) AS "mean score"
FROM main.{model}_influences_latest
"""
# When a day was over, the influences of the day before it had just come.
WHEN_OVER = "SELECT max(recorded_time) AS moment FROM main.{model}_influences WHERE event_time < $1"
KNOWN = """
SELECT count(*) AS flights, count(late) AS landed,
       (SELECT count(*) FROM main.{model}_influences_as_of($1, '-infinity', 'infinity')) AS explained
FROM main.{model}_joined_as_of($1, '-infinity', 'infinity')
"""
# Before the revision, the last label that is not part of it had just come.
BEFORE = "SELECT max(recorded_time) AS moment FROM main.{model}_labels WHERE source IS DISTINCT FROM $1"
PUNCTUALITY = """
SELECT count(late)::float8 AS arrived, avg(late::int)::float8 AS late, avg(arr_delay)::float8 AS minutes,
       avg((late = (late_probability >= 0.5))::int)::float8 AS accuracy
FROM main.{model}_joined_as_of($1, '-infinity', 'infinity') WHERE dest = $2
"""


def rolled_up(model: headrace.Model) -> dict[str, pd.Series]:
    """Return the roll-ups by day as they are now; an `auc_error` says how far an AUC may be from the exact one."""
    result = {"flights": _by_day(model.volume(), "events")["events"]}
    performance = _by_day(model.performance(), "is_shadow", "among", *MEASURES, "auc_error")
    champion = performance[performance["among"] == ""]
    result |= {name: champion[name] for name in (*MEASURES, "auc_error")}
    for variant, is_shadow in ((SHADOW, True), ("champion beside it", False)):
        rows = performance[(performance["among"] == SHADOW) & (performance["is_shadow"] == is_shadow)]
        result |= {f"{variant}: {name}": rows[name] for name in (*COMPARED, "auc_error")}
    drift = _by_day(model.drift(), "column_name", "psi", "js_distance")
    for column in DRIFTING:
        rows = drift[drift["column_name"] == column]
        result |= {f"drift of {column}: {name}": rows[name] for name in ("psi", "js_distance")}
    return result


async def came_late(url: str, model: str, evening: datetime) -> dict[str, pd.Series]:
    """Return what influences say, what was known in the evening of a day, and the airport before and after.

    Raises:
        OSError, asyncpg.PostgresError, asyncpg.InterfaceError: The database does not answer, or is another one.
    """
    connection = await asyncpg.connect(url)

    async def rows(query: str, *values: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await connection.fetch(query.format(model=model), *values)]

    try:
        (influences,), (explained,) = await rows(INFLUENCES), await rows(EXPLAINED)
        (over,) = await rows(WHEN_OVER, evening)
        (known,) = await rows(KNOWN, over["moment"])
        moments = [*await rows(BEFORE, REVISED_BY), *await rows("SELECT clock_timestamp() AS moment")]
        punctuality = [row for at in moments for row in await rows(PUNCTUALITY, at["moment"], AIRPORT)]
    finally:
        await connection.close()
    return {
        "mean influence": pd.Series(influences),
        "explained": pd.Series(explained),
        "known in the evening": pd.Series(known),
        **{
            f"{AIRPORT}, {when}": pd.Series(row) for when, row in zip(("as of before", "now"), punctuality, strict=True)
        },
    }


def _by_day(rows: list[dict[str, Any]], *columns: str) -> pd.DataFrame:
    """Return columns of roll-ups by day; of no rows, too, for they come some seconds after the first events."""
    frame = pd.DataFrame(rows, columns=["bucket", *columns])
    return frame.set_index(pd.to_datetime(frame["bucket"], utc=True).dt.strftime("%F"))
