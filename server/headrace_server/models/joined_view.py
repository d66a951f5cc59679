"""The SQL of a model's joined view: each event with the latest value of each of its labels.

In: a ModelSchema with labels. Out: CREATE OR REPLACE statements for the view and for the function that is bounded by
time. Columns stand in the order of registration and new ones come last, so replacing never breaks what others built on
it.

A label's latest value is the non-null one with the greatest (recorded_time, label_time). Labels are grouped first and
then joined on (event_id, event_time): a hash join for a full scan, and a search for one event_id still goes through
the indexes on both sides. A condition on event_time, though, reaches only the events; the function puts it on both
sides, so that only the chunks of that time are read. Use the view for everything or for one event, the function for a
time.
"""

from headrace_server.models.evolution import joined_name
from headrace_server.models.names import qualified, quote_identifier, quote_literal
from headrace_server.models.schema import ColumnKind, ModelSchema
from headrace_server.models.system_columns import EVENT_COLUMNS
from headrace_server.models.table_spec import JOINED_BETWEEN_SUFFIX, JOINED_SUFFIX, events_table, labels_table

_NEWEST_FIRST = "ORDER BY recorded_time DESC, label_time DESC NULLS LAST"


def statements(schema: ModelSchema) -> list[str]:
    """Return the statements that make or replace the view and the function."""
    view = qualified(schema.project, schema.sql_name + JOINED_SUFFIX)
    function = qualified(schema.project, schema.sql_name + JOINED_BETWEEN_SUFFIX)
    bounds = " WHERE event_time >= from_time AND event_time < until_time"
    advice = (
        "Events with their latest labels. For a span of time use the function"
        f" {schema.sql_name}{JOINED_BETWEEN_SUFFIX}(from_time, until_time): it reads only the chunks of that time."
    )
    return [
        f"CREATE OR REPLACE VIEW {view} AS {_select(schema)}",
        f"COMMENT ON VIEW {view} IS {quote_literal(advice)}",
        f"CREATE OR REPLACE FUNCTION {function}(from_time timestamptz, until_time timestamptz) RETURNS SETOF {view}"
        f" LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC {_select(schema, bounds)}; END",
        f"COMMENT ON FUNCTION {function} IS 'Events of from_time <= event_time < until_time with their latest labels.'",
    ]


def _select(schema: ModelSchema, bounds: str = "") -> str:
    events = events_table(schema).qualified
    event_names = {column.sql_name for column in schema.event_columns}
    shown = [f"e.{quote_identifier(column.name)}" for column in EVENT_COLUMNS]
    shown += ["l.label_time", "l.recorded_time"]
    for column in schema.columns:
        name = quote_identifier(column.sql_name)
        if column.kind is ColumnKind.LABEL:
            shown.append(f"l.{name} AS {quote_identifier(joined_name(column, event_names))}")
        else:
            shown.append(f"e.{name}")
    return (
        # Every name in it is quoted.
        f"SELECT {', '.join(shown)} FROM (SELECT * FROM {events}{bounds}) AS e LEFT JOIN"  # noqa: S608
        f" ({latest_labels(schema, bounds)}) AS l"
        " ON l.event_id = e.event_id AND l.event_time = e.event_time"
    )


def latest_labels(schema: ModelSchema, condition: str = "") -> str:
    """Return the SELECT of a model's labels, a row an event, with the latest value of each.

    Args:
        schema: The model.
        condition: A WHERE clause that says which revisions count, with a blank before it; all by default.
    """
    merged = ["(array_agg(label_time " + _NEWEST_FIRST + "))[1] AS label_time", "max(recorded_time) AS recorded_time"]
    for label in schema.labels:
        name = quote_identifier(label.sql_name)
        merged.append(f"(array_agg({name} {_NEWEST_FIRST}) FILTER (WHERE {name} IS NOT NULL))[1] AS {name}")
    return (
        f"SELECT event_id, event_time, {', '.join(merged)} FROM {labels_table(schema).qualified}{condition}"  # noqa: S608 — quoted
        " GROUP BY event_id, event_time"
    )
