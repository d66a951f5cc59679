"""The views by which a model's project reads its roll-ups, every column described in the database.

Made when a model's first roll-up is, and again by each service that starts, so that a new release's views replace the
old ones. They show the tables of the headrace schema, so who may read them needs no right to that schema.
"""

from dataclasses import dataclass

import asyncpg
import structlog

from headrace_server.copying.connection import Connect, Connection
from headrace_server.models.ddl_transaction import change_model
from headrace_server.models.names import qualified, quote_literal
from headrace_server.models.schema import ModelSchema
from headrace_server.rollups.span import own_rows

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class View:
    """A view of each model.

    Attributes:
        suffix: What follows the model's name.
        comment: What it shows.
        columns: Name, SQL and description of each column.
        source: What follows FROM; {own} is the condition that rows are the model's.
    """

    suffix: str
    comment: str
    columns: tuple[tuple[str, str, str], ...]
    source: str


BUCKET = (
    ("grain", "grain", "HOUR or DAY: the rows of one grain hold every event once"),
    ("bucket", "bucket", "Start of the hour or day of the events' times, UTC"),
    ("model_version", "model_version", "Version of the events; empty for those that name none"),
    ("variant", "variant", "Variant that answered; empty for events that name none"),
)
COLUMN = ("column_name", "column_name", "Column of the events table")
PROFILES = "headrace.profiles WHERE {own} AND grain IN ('HOUR', 'DAY')"


MEASURES = (
    ("labelled", "Predictions that have their label"),
    ("accuracy", "Share of predictions that were right"),
    ("precision", "Share of true ones among those said positive; of several classes the mean over the classes"),
    ("recall", "Share of positives that were said so; of several classes the mean over the classes"),
    ("f1", "Harmonic mean of precision and recall; of several classes the mean over the classes"),
    ("true_positives", "Positives said to be so; binary classification, as the next three"),
    ("false_positives", "Negatives said to be positive"),
    ("true_negatives", "Negatives said to be so"),
    ("false_negatives", "Positives said to be negative"),
    ("auc", "Area under the ROC curve, of 1,000 bins of the score; of several classes the mean, each against the rest"),
    ("auc_error", "The most by which the exact area may differ"),
    ("log_loss", "Mean logarithmic loss, natural logarithm"),
    ("brier", "Mean squared difference of score and truth; binary classification"),
    ("mae", "Mean absolute error; regression, as the next three"),
    ("rmse", "Root of the mean squared error"),
    ("bias", "Mean of prediction minus truth"),
    ("r2", "Share of the truth's variance that is explained"),
    ("refreshed_at", "When this was measured"),
)

VIEWS: tuple[View, ...] = (
    View(
        "_volume",
        "How many events came, and how long they took.",
        (
            *BUCKET,
            ("events", "v.events", "Events"),
            ("estimated_events", "v.estimated_events", "Events before sampling: each counts 1 / inclusion_probability"),
            ("latency_ms_mean", "p.total / nullif(p.present - p.nans, 0)", "Mean latency in milliseconds"),
            *(
                (f"latency_ms_p{share}", f"headrace.quantile(p.bins, p.bin_counts, 0.{share})", text)
                for share, text in (
                    ("50", "Median latency in milliseconds, within 2.2 %"),
                    ("95", "Latency that 95 % of the events stay below, within 2.2 %"),
                    ("99", "Latency that 99 % of the events stay below, within 2.2 %"),
                )
            ),
            ("latency_ms_max", "p.maximum", "Longest latency in milliseconds"),
            ("refreshed_at", "v.refreshed_at", "When this was counted"),
        ),
        "(SELECT * FROM headrace.volumes WHERE {own}) AS v LEFT JOIN"
        " (SELECT * FROM headrace.profiles WHERE {own} AND column_name = 'latency_ms') AS p"
        " USING (project, model, grain, bucket, model_version, variant)",
    ),
    View(
        "_profiles",
        "What the values of each column looked like.",
        (
            *BUCKET,
            COLUMN,
            ("rows", "present + nulls", "Events"),
            ("nulls", "nulls", "Events without a value in the column"),
            ("null_share", "nulls / nullif((present + nulls)::double precision, 0)", "Share of them, 0 to 1"),
            ("nans", "nans", "Values that are NaN; they are left out of what follows"),
            ("mean", "total / nullif(present - nans, 0)", "Mean of the numbers"),
            (
                "stddev",
                "sqrt(greatest(0, total_squares - total * total / nullif(present - nans, 0))"
                " / nullif(greatest(present - nans - 1, 0), 0))",
                "Sample standard deviation of the numbers",
            ),
            ("minimum", "minimum", "Smallest number"),
            ("p05", "headrace.quantile(bins, bin_counts, 0.05)", "5 % quantile of the numbers, within 2.2 %"),
            ("p50", "headrace.quantile(bins, bin_counts, 0.5)", "Median of the numbers, within 2.2 %"),
            ("p95", "headrace.quantile(bins, bin_counts, 0.95)", "95 % quantile of the numbers, within 2.2 %"),
            ("maximum", "maximum", "Largest number"),
            ("distinct_categories", "cardinality(categories)", "Categories that were told apart, at most 200"),
        ),
        PROFILES,
    ),
    View(
        "_histograms",
        "Histograms of numeric columns: predictions, features and latency_ms. Bins are the same for all, 16 an octave.",
        (
            *BUCKET,
            COLUMN,
            ("lower", "headrace.bin_edge(CASE WHEN bin > 0 THEN bin ELSE bin - 1 END)", "Lower edge of the bin"),
            ("upper", "headrace.bin_edge(CASE WHEN bin < 0 THEN bin ELSE bin + 1 END)", "Upper edge of the bin"),
            ("number", "number", "Values in the bin"),
        ),
        "headrace.profiles, unnest(bins, bin_counts) AS counted (bin, number) WHERE {own} AND grain IN ('HOUR', 'DAY')",
    ),
    View(
        "_categories",
        "How often each category of a column of text or booleans came: the 200 most frequent of each bucket.",
        (
            *BUCKET,
            COLUMN,
            ("category", "category", "The value, its first 128 characters; null for all that are not told apart"),
            ("number", "number", "Events with it"),
        ),
        "headrace.profiles, LATERAL (SELECT * FROM unnest(categories, category_counts) AS counted (category, number)"
        " UNION ALL SELECT NULL, other_categories WHERE other_categories > 0) AS counted"
        " WHERE {own} AND grain IN ('HOUR', 'DAY')",
    ),
    View(
        "_performance",
        "What predictions were worth once their labels had come.",
        (
            *BUCKET[:2],
            ("model_version", "model_version", "Version that predicted; empty where none is named"),
            ("variant", "variant", "Variant that predicted; empty where none is named"),
            ("is_shadow", "is_shadow", "Whether it is a shadow variant, logged beside the event's own predictions"),
            ("among", "among", "Name of a shadow variant: only events that it scored are measured; empty: all"),
            ("task", "task", "Task by which was measured; measures that it does not have are null"),
            *((name, name, text) for name, text in MEASURES),
        ),
        "headrace.performance WHERE {own}",
    ),
    View(
        "_drift",
        "How far the values of each day and column are from those of the baseline dataset.",
        (
            ("bucket", "bucket", "Start of the day of the events' times, UTC"),
            COLUMN,
            ("dataset", "dataset", "The baseline"),
            ("rows", "rows", "Events of the day"),
            ("baseline_rows", "baseline_rows", "Rows of the baseline"),
            ("psi", "psi", "Population stability index; above 0.25 is commonly called a shift"),
            ("js_distance", "js_distance", "Jensen-Shannon distance, base 2: 0 is the same, 1 nothing in common"),
            ("refreshed_at", "refreshed_at", "When this was compared"),
        ),
        "headrace.drift WHERE {own}",
    ),
)


def statements(model: ModelSchema) -> list[str]:
    """The statements that make or replace a model's views."""
    result = []
    for view in VIEWS:
        name = qualified(model.project, model.sql_name + view.suffix)
        shown = ", ".join(f"{sql} AS {column}" for column, sql, _ in view.columns)
        result.append(f"CREATE OR REPLACE VIEW {name} AS SELECT {shown} FROM {view.source.format(own=own_rows(model))}")  # noqa: S608
        result.append(f"COMMENT ON VIEW {name} IS {quote_literal(view.comment)}")
        result += [
            f"COMMENT ON COLUMN {name}.{column} IS {quote_literal(comment)}" for column, _, comment in view.columns
        ]
    return result


async def make_views(connect: Connect, model: ModelSchema) -> None:
    """Make or replace a model's views; where somebody else's table has such a name, it is left alone.

    Raises:
        DatabaseUnavailableError: The database does not answer.
    """

    async def work(connection: Connection) -> None:
        await connection.execute("; ".join(statements(model)))

    try:
        await change_model(connect, model.project, model.sql_name, work)
    except (asyncpg.DuplicateTableError, asyncpg.WrongObjectTypeError, asyncpg.InvalidTableDefinitionError) as error:
        log.warning("views_not_made", project=model.project, model=model.sql_name, error=str(error))
