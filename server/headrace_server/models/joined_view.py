"""The SQL of a model's joined view: each event with the latest value of each of its labels.

In: a ModelSchema with labels. Out: CREATE OR REPLACE statements for the view, for the function that is bounded by time,
and for the one that also leaves out what was recorded after a moment. Columns stand in the order of registration and
new ones come last, so replacing never breaks what others built on it.

A label's latest value is the non-null one with the greatest (recorded_time, label_time). Labels are grouped first and
then joined on (event_id, event_time): a hash join for a full scan, and a search for one event_id still goes through
the indexes on both sides. A condition on event_time, though, reaches only the events; the function puts it on both
sides, so that only the chunks of that time are read. Use the view for everything or for one event, the function for a
time.
"""

from headrace_server.models.evolution import joined_name
from headrace_server.models.late_tables import LABELS, settled_table
from headrace_server.models.names import beside, qualified, quote_identifier, quote_literal
from headrace_server.models.schema import ColumnKind, ModelSchema
from headrace_server.models.system_columns import EVENT_COLUMNS
from headrace_server.models.table_spec import events_table

_NEWEST_FIRST = "ORDER BY recorded_time DESC, label_time DESC NULLS LAST"


def view_of(schema: ModelSchema) -> str:
    """Return the view's name as SQL takes it."""
    return qualified(schema.project, beside(schema.sql_name, "_joined"))


def statements(schema: ModelSchema) -> list[str]:
    """Return the statements that make or replace the view and the functions."""
    view = view_of(schema)
    between_name = beside(schema.sql_name, "_joined_between")
    between = qualified(schema.project, between_name)
    as_of = qualified(schema.project, beside(schema.sql_name, "_joined_as_of"))
    # Parameters by number: a column of the model may have the name of one, and would win.
    in_time = " WHERE event_time >= $1 AND event_time < $2"
    known = " WHERE event_time >= $2 AND event_time < $3 AND {} <= $1"
    advice = (
        "Events with their latest labels. For a span of time use the function"
        f" {between_name}(from_time, until_time): it reads only the chunks of that time."
    )
    language = f"RETURNS SETOF {view} LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC"
    return [
        f"CREATE OR REPLACE VIEW {view} AS {_select(schema)}",
        f"COMMENT ON VIEW {view} IS {quote_literal(advice)}",
        f"CREATE OR REPLACE FUNCTION {between}(from_time timestamptz, until_time timestamptz)"
        f" {language} {_select(schema, in_time, in_time)}; END",
        f"COMMENT ON FUNCTION {between} IS 'Events of from_time <= event_time < until_time with their latest labels.'",
        f"CREATE OR REPLACE FUNCTION {as_of}(at timestamptz, from_time timestamptz, until_time timestamptz) {language}"
        f" {_select(schema, known.format('observed_time'), known.format('recorded_time'))}; END",
        f"COMMENT ON FUNCTION {as_of} IS 'Events of from_time <= event_time < until_time that had come by a moment,"
        " with the labels that were the latest then.'",
    ]


def _select(schema: ModelSchema, of_events: str = "", of_labels: str = "") -> str:
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
        f"SELECT {', '.join(shown)} FROM (SELECT * FROM {events}{of_events}) AS e LEFT JOIN"  # noqa: S608
        f" ({latest_labels(schema, of_labels)}) AS l"
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
        f"SELECT event_id, event_time, {', '.join(merged)} FROM {settled_table(schema, LABELS).qualified}{condition}"  # noqa: S608 — quoted
        " GROUP BY event_id, event_time"
    )
