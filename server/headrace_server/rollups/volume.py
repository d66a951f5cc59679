"""Volume: how many events came, by hour and by day, version and variant."""

from headrace_server.models.schema import ModelSchema
from headrace_server.models.table_spec import events_table
from headrace_server.rollups.span import Span, key_sql, own_rows

# Identifiers are the registry's and quoted; times and names are literals (rollups/span.py).


def hours(model: ModelSchema, span: Span) -> list[str]:
    """Statements that count the hours of a span anew."""
    return [
        f"DELETE FROM headrace.volumes WHERE {own_rows(model)} AND grain = 'HOUR' AND {span.holds('bucket')}",  # noqa: S608
        "INSERT INTO headrace.volumes (project, model, grain, bucket, model_version, variant, events, estimated_events)"  # noqa: S608
        f" SELECT {key_sql(model)}, 'HOUR', date_trunc('hour', event_time), coalesce(model_version, ''),"
        " coalesce(variant, ''), count(*), sum(1 / coalesce(nullif(inclusion_probability, 0), 1))"
        f" FROM {events_table(model).qualified} WHERE {span.holds('event_time')} GROUP BY 4, 5, 6",
    ]


def day(model: ModelSchema, span: Span) -> list[str]:
    """Statements that add up the hours of a day."""
    return [
        f"DELETE FROM headrace.volumes WHERE {own_rows(model)} AND grain = 'DAY' AND bucket = {span.start_sql}",  # noqa: S608
        "INSERT INTO headrace.volumes (project, model, grain, bucket, model_version, variant, events, estimated_events)"  # noqa: S608
        f" SELECT {key_sql(model)}, 'DAY', {span.start_sql}, model_version, variant, sum(events), sum(estimated_events)"
        f" FROM headrace.volumes WHERE {own_rows(model)} AND grain = 'HOUR' AND {span.holds('bucket')} GROUP BY 5, 6",
    ]
