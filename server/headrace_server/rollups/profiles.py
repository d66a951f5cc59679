"""Profiles: what the values of each column looked like, as counts that can be added.

For each hour, version, variant and column: how many values, nulls and NaNs there are, sums, bounds, the histogram of
numbers (headrace.bin_of) and how often each category came. A day's profile is the sum of its hours', and the profile of
a baseline dataset is made of its rows by the same statement: drift compares the two and reads no events.
"""

from collections.abc import Iterator

from headrace_server.models.column_types import ValueType
from headrace_server.models.names import quote_identifier, quote_literal
from headrace_server.models.schema import ModelColumn, ModelSchema
from headrace_server.models.table_spec import events_table
from headrace_server.rollups.span import Span, key_sql, own_rows

MOST_CATEGORIES = 200  # of a column in a bucket, the most frequent; the rest is counted together
CATEGORY_CHARACTERS = 128
COLUMNS_AT_ONCE = 64  # in one statement

NUMBERS = frozenset({ValueType.INT64, ValueType.FLOAT64})
CATEGORIES = frozenset({ValueType.BOOL, ValueType.STRING, ValueType.CATEGORY})

BASELINE_BUCKET = "'1970-01-01'::timestamptz"

# Identifiers are the registry's and quoted; times and names are literals (rollups/span.py).


def hours(model: ModelSchema, span: Span) -> list[str]:
    """Statements that profile the hours of a span anew."""
    source = f"{events_table(model).qualified} e WHERE {span.holds('e.event_time')}"
    keys = "date_trunc('hour', e.event_time), coalesce(e.model_version, ''), coalesce(e.variant, '')"
    return [
        _delete(model, "HOUR", span.holds("bucket")),
        *(_insert(model, "HOUR", _counted(values, keys, source)) for values in _values(model)),
    ]


def day(model: ModelSchema, span: Span) -> list[str]:
    """Statements that add up the hours of a day."""
    rows = f"headrace.profiles p%s WHERE {own_rows(model)} AND grain = 'HOUR' AND {span.holds('bucket')}"
    keys = f"{span.start_sql} AS bucket, model_version, variant, column_name"
    counted = (
        f"SELECT {keys}, NULL::smallint AS bin, NULL::text AS category, 0::bigint AS number, sum(present) AS present,"  # noqa: S608
        " sum(nulls) AS nulls, sum(nans) AS nans, sum(total) AS total, sum(total_squares) AS total_squares,"
        " min(minimum) AS minimum, max(maximum) AS maximum, sum(other_categories) AS others"
        f" FROM {rows % ''} GROUP BY 2, 3, 4"
        f" UNION ALL SELECT {keys}, bin, NULL, sum(number), 0, 0, 0, NULL, NULL, NULL, NULL, 0"
        f" FROM {rows % ', unnest(p.bins, p.bin_counts) AS counted (bin, number)'} GROUP BY 2, 3, 4, 5"
        f" UNION ALL SELECT {keys}, NULL, category, sum(number), 0, 0, 0, NULL, NULL, NULL, NULL, 0"
        f" FROM {rows % ', unnest(p.categories, p.category_counts) AS counted (category, number)'} GROUP BY 2, 3, 4, 6"
    )
    return [_delete(model, "DAY", f"bucket = {span.start_sql}"), _insert(model, "DAY", counted)]


def baseline(model: ModelSchema, table: str | None) -> list[str]:
    """Statements that profile the baseline anew.

    Args:
        model: The model.
        table: SQL name of the table that holds its rows, with the columns of events; None: there is no baseline.
    """
    if table is None:
        return [_delete(model, "BASELINE", "true")]
    source = f"{table} e WHERE true"
    keys = f"{BASELINE_BUCKET}, ''::text, ''::text"
    return [
        _delete(model, "BASELINE", "true"),
        *(_insert(model, "BASELINE", _counted(values, keys, source)) for values in _values(model)),
    ]


def _delete(model: ModelSchema, grain: str, condition: str) -> str:
    return f"DELETE FROM headrace.profiles WHERE {own_rows(model)} AND grain = '{grain}' AND {condition}"  # noqa: S608


def _values(model: ModelSchema) -> Iterator[str]:
    """For some columns at a time: rows (column_name, number, category, is_there) of an event e."""
    rows = ["('latency_ms', e.latency_ms, NULL::text, e.latency_ms IS NOT NULL)"]
    rows += [_row(column) for column in model.event_columns]
    for low in range(0, len(rows), COLUMNS_AT_ONCE):
        yield ", ".join(rows[low : low + COLUMNS_AT_ONCE])


def _row(column: ModelColumn) -> str:
    value = f"e.{quote_identifier(column.sql_name)}"
    number = f"{value}::double precision" if column.type in NUMBERS else "NULL"
    category = f"left({value}::text, {CATEGORY_CHARACTERS})" if column.type in CATEGORIES else "NULL"
    return f"({quote_literal(column.sql_name)}, {number}, {category}, {value} IS NOT NULL)"


def _counted(values: str, keys: str, source: str) -> str:
    """Count rows by what is in them: one row for each bin and each category of each column.

    Args:
        values: The columns, as VALUES of a row e.
        keys: Bucket, version and variant of a row e.
        source: The rows.
    """
    relation, _, condition = source.partition(" WHERE ")
    number = "headrace.summable(c.number)"
    return (
        f"SELECT {keys}, c.column_name, headrace.bin_of(c.number) AS bin, c.category, count(*) AS number,"  # noqa: S608
        " count(*) FILTER (WHERE c.is_there) AS present, count(*) FILTER (WHERE NOT c.is_there) AS nulls,"
        " count(*) FILTER (WHERE c.number = 'NaN') AS nans,"
        f" sum({number}) AS total, sum({number} * {number}) AS total_squares,"
        " min(c.number) FILTER (WHERE c.number <> 'NaN') AS minimum,"
        " max(c.number) FILTER (WHERE c.number <> 'NaN') AS maximum, 0::bigint AS others"
        f" FROM {relation} CROSS JOIN LATERAL (VALUES {values}) AS c (column_name, number, category, is_there)"
        f" WHERE {condition} GROUP BY 1, 2, 3, 4, 5, 6"
    )


def _insert(model: ModelSchema, grain: str, counted: str) -> str:
    """Gather counted rows, one profile for each bucket, version, variant and column."""
    names = (
        "bucket, model_version, variant, column_name, bin, category, number, present, nulls, nans, total,"
        " total_squares, minimum, maximum, others"
    )
    of_bins, of_categories = "FILTER (WHERE bin IS NOT NULL)", f"FILTER (WHERE place <= {MOST_CATEGORIES})"
    return (
        f"WITH counted ({names}) AS ({counted}), placed AS (SELECT *, CASE WHEN category IS NOT NULL THEN"  # noqa: S608
        " row_number() OVER (PARTITION BY bucket, model_version, variant, column_name, category IS NULL"
        " ORDER BY number DESC, category) END AS place FROM counted)"
        " INSERT INTO headrace.profiles (project, model, grain, bucket, model_version, variant, column_name, present,"
        " nulls, nans, total, total_squares, minimum, maximum, bins, bin_counts, categories, category_counts,"
        f" other_categories) SELECT {key_sql(model)}, '{grain}', bucket, model_version, variant, column_name,"
        " sum(present), sum(nulls), sum(nans), sum(total), sum(total_squares), min(minimum), max(maximum),"
        f" array_agg(bin ORDER BY bin) {of_bins}, array_agg(number ORDER BY bin) {of_bins},"
        f" array_agg(category ORDER BY place) {of_categories}, array_agg(number ORDER BY place) {of_categories},"
        f" sum(others) + coalesce(sum(number) FILTER (WHERE place > {MOST_CATEGORIES}), 0)"
        " FROM placed GROUP BY bucket, model_version, variant, column_name"
    )
