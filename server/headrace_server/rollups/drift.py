"""Drift: how far a day's values are from the baseline's, column by column, made of two profiles and no events.

Numbers fall into cells that hold a tenth of the baseline each, as nearly as the histogram's bins let them; categories
are cells of their own, those that the baseline does not tell apart together; so are rows without a value. Of the shares
of the cells, p in the baseline and q on the day:

- PSI = Σ (q − p) ln(q / p), a share below 0.0001 taken for that;
- Jensen-Shannon distance = √(½ Σ p log₂(p / m) + ½ Σ q log₂(q / m)) with m = (p + q) / 2, from 0 to 1.
"""

from headrace_server.models.names import quote_literal
from headrace_server.models.schema import ModelSchema
from headrace_server.rollups.span import Span, key_sql, own_rows

CELLS = 10
LEAST_SHARE = 0.0001

# Names and times are literals (rollups/span.py).


def day(model: ModelSchema, span: Span) -> list[str]:
    """Statements that compare a day with the baseline anew; without a baseline nothing remains."""
    result = [f"DELETE FROM headrace.drift WHERE {own_rows(model)} AND bucket = {span.start_sql}"]  # noqa: S608
    if getattr(model, "baseline_dataset", ""):
        result.append(_compare(model, span, getattr(model, "baseline_dataset", "")))
    return result


def _compare(model: ModelSchema, span: Span, dataset: str) -> str:
    profiles = f"SELECT * FROM headrace.profiles WHERE {own_rows(model)}"  # noqa: S608
    observed = f"({_numbers('today')})"
    p, q = f"greatest(p, {LEAST_SHARE})", f"greatest(q, {LEAST_SHARE})"
    return (
        f"WITH base AS ({profiles} AND grain = 'BASELINE' AND present > 0),"  # noqa: S608
        f" today AS ({profiles} AND grain = 'DAY' AND bucket = {span.start_sql}),"
        f" base_numbers AS ({_numbers('base')}), base_categories AS ({_categories('base')}),"
        " summed AS (SELECT *, sum(number) OVER (PARTITION BY column_name ORDER BY bin) - number AS before,"
        " sum(number) OVER (PARTITION BY column_name) AS total FROM base_numbers),"
        " starts AS (SELECT column_name, array_agg(first ORDER BY first) AS starts FROM"
        " (SELECT column_name, min(bin)::int AS first FROM summed"
        f" GROUP BY column_name, floor({CELLS} * before / total)) AS tenths GROUP BY column_name),"
        " counted (column_name, cell, expected, observed) AS ("
        f" {_tenths('base_numbers', 'number, 0')} UNION ALL {_tenths(observed, '0, number')}"
        " UNION ALL SELECT column_name, 'c' || category, number, 0 FROM base_categories"
        " UNION ALL SELECT t.column_name, coalesce('c' || b.category, 'others'), 0, t.number"
        f" FROM ({_categories('today')}) AS t LEFT JOIN base_categories b USING (column_name, category)"
        " UNION ALL SELECT column_name, 'others', sum(other_categories), 0 FROM base GROUP BY 1"
        " UNION ALL SELECT column_name, 'others', 0, sum(other_categories) FROM today GROUP BY 1"
        " UNION ALL SELECT column_name, 'missing', sum(nulls + nans), 0 FROM base GROUP BY 1"
        " UNION ALL SELECT column_name, 'missing', 0, sum(nulls + nans) FROM today GROUP BY 1),"
        " cells AS (SELECT column_name, sum(expected) AS expected, sum(observed) AS observed,"
        " (sum(expected) / nullif(sum(sum(expected)) OVER of_column, 0))::double precision AS p,"
        " (sum(observed) / nullif(sum(sum(observed)) OVER of_column, 0))::double precision AS q"
        " FROM counted WHERE column_name IN (SELECT column_name FROM base) GROUP BY column_name, cell"
        " WINDOW of_column AS (PARTITION BY column_name))"
        " INSERT INTO headrace.drift (project, model, bucket, column_name, dataset, rows, baseline_rows, psi,"
        f" js_distance) SELECT {key_sql(model)}, {span.start_sql}, column_name, {quote_literal(dataset)},"
        f" sum(observed), sum(expected), sum(({q} - {p}) * ln({q} / {p})),"
        f" sqrt(greatest(0, ({_divergence('p')} + {_divergence('q')}) / 2))"
        " FROM cells WHERE p IS NOT NULL AND q IS NOT NULL GROUP BY column_name"
    )


def _numbers(source: str) -> str:
    return (
        "SELECT p.column_name, c.bin, sum(c.number) AS number"  # noqa: S608
        f" FROM {source} p, unnest(p.bins, p.bin_counts) AS c (bin, number) GROUP BY 1, 2"
    )


def _categories(source: str) -> str:
    return (
        "SELECT p.column_name, c.category, sum(c.number) AS number"  # noqa: S608
        f" FROM {source} p, unnest(p.categories, p.category_counts) AS c (category, number) GROUP BY 1, 2"
    )


def _tenths(source: str, counts: str) -> str:
    cell = "'n' || greatest(1, width_bucket(bin::int, starts))"
    return f"SELECT column_name, {cell}, {counts} FROM {source} AS numbers JOIN starts USING (column_name)"  # noqa: S608


def _divergence(share: str) -> str:
    """Kullback-Leibler divergence of a share from the middle, in bits."""
    return f"coalesce(sum({share} * ln(2 * {share} / (p + q))) FILTER (WHERE {share} > 0), 0) / ln(2)"
