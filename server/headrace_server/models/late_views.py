"""The SQL of what is read beside a model's events: of each late kind the latest, what was known, and what waits.

In: a ModelSchema and the spec of a kind. Out: CREATE OR REPLACE statements. Columns stand in the order of the table and
new ones come last, so replacing never breaks what others built on it.

`_latest` keeps of all rows about one subject (an event's influences on one output, one variant of it, one metric) the
one that was recorded last. A condition on event_time or event_id reaches the table itself, so the view reads only the
chunks of that time. `_as_of` is the same without what was recorded after a moment. What labels have is in
models/joined_view.py.
"""

from headrace_server.models.late_tables import LateSpec, inbox_table, late_specs_of, settled_table
from headrace_server.models.names import beside, qualified, quote_identifier, quote_literal
from headrace_server.models.schema import ModelSchema


def statements(schema: ModelSchema, spec: LateSpec) -> list[str]:
    """Return the statements that make or replace the view and the function of one kind."""
    view = qualified(schema.project, beside(schema.sql_name, f"_{spec.name}_latest"))
    function = qualified(schema.project, beside(schema.sql_name, f"_{spec.name}_as_of"))
    # Parameters by number: a column of the model may have the name of one, and would win.
    known = " WHERE recorded_time <= $1 AND event_time >= $2 AND event_time < $3"
    return [
        f"CREATE OR REPLACE VIEW {view} AS {_select(schema, spec)}",
        f"COMMENT ON VIEW {view} IS {quote_literal(f'{spec.what}: the last recorded of all about one thing.')}",
        f"CREATE OR REPLACE FUNCTION {function}(at timestamptz, from_time timestamptz, until_time timestamptz)"
        f" RETURNS SETOF {view} LANGUAGE sql STABLE PARALLEL SAFE BEGIN ATOMIC {_select(schema, spec, known)}; END",
        f"COMMENT ON FUNCTION {function} IS"
        f" {quote_literal(f'{spec.what} as they were known at a moment, of from_time <= event_time < until_time.')}",
    ]


def _select(schema: ModelSchema, spec: LateSpec, condition: str = "") -> str:
    table = settled_table(schema, spec)
    shown = ", ".join(quote_identifier(column.name) for column in table.columns)
    about = ", ".join(map(quote_identifier, ("event_time", "event_id", *spec.subject)))
    return (
        f"SELECT DISTINCT ON ({about}) {shown} FROM {table.qualified}{condition}"  # noqa: S608 - every name is quoted
        f" ORDER BY {about}, recorded_time DESC"
    )


def orphans_view(schema: ModelSchema) -> str:
    """Return the name of the view of all rows that wait for their event, as SQL takes it."""
    return qualified(schema.project, beside(schema.sql_name, "_orphans"))


def orphans(schema: ModelSchema) -> list[str]:
    """Return the statements that make or replace the view of all rows that wait for their event."""
    view = orphans_view(schema)
    waiting = " UNION ALL ".join(
        f"SELECT {quote_literal(spec.name)}::text AS kind, event_id, event_time, source, recorded_time,"  # noqa: S608
        f" now() - recorded_time AS age FROM {inbox_table(schema, spec).qualified}"
        for spec in late_specs_of(schema)
    )
    about = "Rows of late kinds whose event has not come, and for how long they wait."
    return [f"CREATE OR REPLACE VIEW {view} AS {waiting}", f"COMMENT ON VIEW {view} IS {quote_literal(about)}"]
