"""Performance: what predictions were worth once their labels had come, by hour and by day.

Events are joined with their latest labels, a day at a time; so are the predictions of shadow variants. What a shadow
variant is measured by are the labels of the events that it scored, and the champion is measured by those once more
(`among` names the shadow), so that the two stand side by side on the same labels.

The counts that a measure is made of are gathered in one statement, by hour and, with grouping sets, by day. AUC comes
from 1,000 bins of the score: pairs of a positive and a negative in one bin count half, and half of their share is the
most by which the exact value may differ, which stands beside it.
"""

from collections.abc import Callable

from headrace.schemas.tasks import ColumnRole, TaskType
from headrace_server.models.column_types import ValueType
from headrace_server.models.evolution import joined_name
from headrace_server.models.late_tables import VARIANTS
from headrace_server.models.names import beside, qualified, quote_identifier, quote_literal
from headrace_server.models.schema import ModelColumn, ModelSchema
from headrace_server.rollups.span import Span, key_sql, own_rows

BINS = 1_000
LEAST_PROBABILITY = "2.220446049250313e-16"  # below it log loss counts a probability as that, as scikit-learn does

KEYS = "grain, bucket, model_version, variant, is_shadow, among"
POSITIVE, NEGATIVE = "positive", "negative"

_BINARY, _REGRESSION = TaskType.BINARY_CLASSIFICATION, TaskType.REGRESSION
_CLASSES = frozenset({_BINARY, TaskType.MULTICLASS_CLASSIFICATION, TaskType.IMAGE_CLASSIFICATION})

# Identifiers are the registry's and quoted; times, names and classes are literals (rollups/span.py).

Named = Callable[[ModelColumn], str]
"""SQL of a prediction column, of the champion's or of a shadow's rows."""


def day(model: ModelSchema, span: Span) -> list[str]:
    """Statements that measure a day and its hours anew."""
    buckets = f"(grain = 'HOUR' AND {span.holds('bucket')} OR grain = 'DAY' AND bucket = {span.start_sql})"
    result = [f"DELETE FROM headrace.performance WHERE {own_rows(model)} AND {buckets}"]  # noqa: S608
    if (target := _target(model)) is None:
        return result
    if model.task is _REGRESSION and _with_role(model, ColumnRole.PREDICTED_VALUE):
        result.append(_regression(model, span, target))
    elif model.task in _CLASSES and _decides(model):
        result.append(_classification(model, span, target))
    return result


def _with_role(model: ModelSchema, role: ColumnRole) -> ModelColumn | None:
    return next((column for column in model.predictions if column.role is role), None)


def _target(model: ModelSchema) -> ModelColumn | None:
    return next((column for column in model.labels if column.role is ColumnRole.TARGET), None)


def _decides(model: ModelSchema) -> bool:
    """Whether the model has a prediction that says a class."""
    roles = {ColumnRole.PREDICTED_CLASS, ColumnRole.PROBABILITIES}
    if model.task is _BINARY:
        roles.add(ColumnRole.SCORE)
    return any(column.role in roles for column in model.predictions)


def _answered(model: ModelSchema, span: Span, target: ModelColumn, predicted: Callable[[Named], str]) -> str:
    """CTEs up to `answered`: each prediction with its truth, one row for each group that it is measured in.

    Args:
        model: The model.
        span: The day.
        target: The label.
        predicted: The columns of a prediction, as SQL over the given names.
    """
    joined = qualified(model.project, beside(model.sql_name, "_joined_between"))
    event_names = {column.sql_name for column in model.event_columns}
    truth = quote_identifier(joined_name(target, event_names))
    own = ", ".join(quote_identifier(column.sql_name) for column in model.predictions)
    champion = predicted(lambda column: f"j.{quote_identifier(column.sql_name)}")
    ctes = (
        f"joined AS MATERIALIZED (SELECT event_id, event_time, date_trunc('hour', event_time) AS bucket,"  # noqa: S608
        f" coalesce(model_version, '') AS model_version, coalesce(variant, '') AS variant, {own}, {truth} AS truth"
        f" FROM {joined}({span.start_sql}, {span.end_sql}) WHERE {truth} IS NOT NULL),"
    )
    champions = (
        f"SELECT bucket, model_version, variant, false AS is_shadow, ''::text AS among, truth, {champion} FROM joined j"  # noqa: S608
    )
    if not VARIANTS.is_in(model):
        return f"{ctes} answered AS ({champions})"
    names = {column.sql_name: quote_identifier(name) for column, name in VARIANTS.own_columns(model)}
    latest = qualified(model.project, beside(model.sql_name, "_variants_latest"))
    shadow = predicted(lambda column: f"v.{names[column.sql_name]}")
    both = (
        f" FROM joined j JOIN (SELECT * FROM {latest} WHERE {span.holds('event_time')}) AS v"  # noqa: S608
        " ON v.event_id = j.event_id AND v.event_time = j.event_time"
    )
    return (
        f"{ctes} answered AS ({champions}"
        f" UNION ALL SELECT bucket, coalesce(v.model_version, ''), v.variant, true, v.variant, truth, {shadow} {both}"
        f" UNION ALL SELECT bucket, j.model_version, j.variant, false, v.variant, truth, {champion} {both})"
    )


def _by_hour_and_day(span: Span, *more: str) -> tuple[str, str]:
    """What to select of a group's keys, and how to group by them, by hour and by day at once."""
    others = ", ".join(("model_version", "variant", "is_shadow", "among", *more))
    keys = f"CASE WHEN bucket IS NULL THEN 'DAY' ELSE 'HOUR' END AS grain, coalesce(bucket, {span.start_sql}) AS bucket"
    return f"{keys}, {others}", f"GROUP BY GROUPING SETS ((bucket, {others}), ({others}))"


def _regression(model: ModelSchema, span: Span, target: ModelColumn) -> str:
    value = _with_role(model, ColumnRole.PREDICTED_VALUE)
    assert value is not None  # noqa: S101 - the caller looked
    selected, grouped = _by_hour_and_day(span)
    answered = _answered(model, span, target, lambda name: f"{name(value)}::double precision AS value")
    return (
        f"WITH {answered}, errors AS (SELECT *, truth::double precision AS actual,"  # noqa: S608
        " value - truth::double precision AS error FROM answered WHERE value IS NOT NULL)"
        f" INSERT INTO headrace.performance (project, model, task, {KEYS}, labelled, mae, rmse, bias, r2)"
        f" SELECT {key_sql(model)}, '{_task(model)}', {selected}, count(*), avg(abs(error)), sqrt(avg(error * error)),"
        f" avg(error), 1 - sum(error * error) / nullif(var_pop(actual) * count(*), 0) FROM errors {grouped}"
    )


def _classification(model: ModelSchema, span: Span, target: ModelColumn) -> str:
    is_binary = model.task is _BINARY
    of = _BinaryAnswers(model, target) if is_binary else _ManyAnswers(model, target)
    selected, grouped = _by_hour_and_day(span, "actual", "predicted")
    binned_keys, binned_groups = _by_hour_and_day(span, "class", "bin")
    pairs = "nullif(sum(positives) * sum(negatives), 0)"
    right = "coalesce(sum(number) FILTER (WHERE actual = predicted), 0)"
    wanted = f" WHERE class = '{POSITIVE}'" if is_binary else ""
    hits = "CASE WHEN actual = predicted THEN number ELSE 0 END"
    misses = "CASE WHEN actual = predicted THEN 0 ELSE number END"
    told_apart = {
        f"{what}_{sign}s": f"sum(number) FILTER (WHERE {condition})"
        for what, sign, condition in (
            ("true", "positive", f"actual = '{POSITIVE}' AND predicted = '{POSITIVE}'"),
            ("false", "positive", f"actual = '{NEGATIVE}' AND predicted = '{POSITIVE}'"),
            ("true", "negative", f"actual = '{NEGATIVE}' AND predicted = '{NEGATIVE}'"),
            ("false", "negative", f"actual = '{POSITIVE}' AND predicted = '{NEGATIVE}'"),
        )
    }
    counts = ", ".join(
        f"coalesce({sql}, 0) AS {name}" if is_binary else f"NULL::bigint AS {name}" for name, sql in told_apart.items()
    )
    return (
        f"WITH {_answered(model, span, target, of.predicted)},"  # noqa: S608
        f" decided AS MATERIALIZED (SELECT *, {of.actual} AS actual, {of.decision} AS predicted, {of.loss} AS loss,"
        f" {of.brier} AS brier FROM answered),"
        f" confused AS (SELECT {selected}, count(*) AS number, sum(loss) AS loss, count(loss) AS losses,"
        f" sum(brier) AS brier FROM decided WHERE predicted IS NOT NULL {grouped}),"
        # Of each class how often it was rightly said, wrongly said and missed.
        f" said AS (SELECT {KEYS}, class, sum(hit) AS hits, sum(wrong) AS wrong, sum(missed) AS missed FROM confused,"
        f" LATERAL (VALUES (actual, {hits}, 0::bigint, {misses}), (predicted, 0, {misses}, 0))"
        f" AS c (class, hit, wrong, missed) GROUP BY {KEYS}, class),"
        " rates AS (SELECT *, coalesce(hits / nullif(hits + wrong, 0), 0) AS precision,"
        " coalesce(hits / nullif(hits + missed, 0), 0) AS recall,"
        f" 2 * hits / (2 * hits + wrong + missed) AS f1 FROM said{wanted}),"
        f" averaged AS (SELECT {KEYS}, avg(precision) AS precision, avg(recall) AS recall, avg(f1) AS f1 FROM rates"
        f" GROUP BY {KEYS}),"
        f" scored AS (SELECT bucket, model_version, variant, is_shadow, among, class,"
        f" least({BINS - 1}, floor(score * {BINS}))::int AS bin, is_class FROM {of.scores} WHERE score IS NOT NULL),"
        f" binned AS (SELECT {binned_keys}, (count(*) FILTER (WHERE is_class))::double precision AS positives,"
        f" (count(*) FILTER (WHERE NOT is_class))::double precision AS negatives FROM scored {binned_groups}),"
        " ranked AS (SELECT *,"
        f" sum(negatives) OVER (PARTITION BY {KEYS}, class ORDER BY bin) - negatives AS below FROM binned),"
        f" areas AS (SELECT {KEYS}, sum(positives * (below + negatives / 2)) / {pairs} AS auc,"
        f" sum(positives * negatives) / 2 / {pairs} AS auc_error"
        f" FROM ranked GROUP BY {KEYS}, class),"
        f" area AS (SELECT {KEYS}, avg(auc) AS auc, avg(auc_error) AS auc_error FROM areas GROUP BY {KEYS}),"
        f" totals AS (SELECT {KEYS}, sum(number) AS labelled, {right} / sum(number) AS accuracy,"
        f" {counts}, sum(loss) / nullif(sum(losses), 0) AS log_loss,"
        f" sum(brier) / nullif(sum(losses), 0) AS brier FROM confused GROUP BY {KEYS})"
        f" INSERT INTO headrace.performance (project, model, task, {KEYS}, labelled, accuracy, precision, recall, f1,"
        " true_positives, false_positives, true_negatives, false_negatives, auc, auc_error, log_loss, brier)"
        f" SELECT {key_sql(model)}, '{_task(model)}', {KEYS}, labelled, accuracy, precision, recall, f1,"
        " true_positives, false_positives, true_negatives, false_negatives, auc, auc_error, log_loss, brier"
        f" FROM totals LEFT JOIN averaged USING ({KEYS}) LEFT JOIN area USING ({KEYS})"
    )


def _task(model: ModelSchema) -> str:
    assert model.task is not None  # noqa: S101 - there are measures of tasks only
    return model.task.name


class _BinaryAnswers:
    """A binary classification: its score is the probability of the positive class.

    Attributes:
        actual, decision: SQL of the truth and of what the model said, `positive` or `negative`.
        loss, brier: SQL of a prediction's part in log loss and Brier score.
        scores: What follows FROM: each score with whether it was the class.
    """

    def __init__(self, model: ModelSchema, target: ModelColumn) -> None:
        self._score = _with_role(model, ColumnRole.SCORE)
        self._probabilities = _with_role(model, ColumnRole.PROBABILITIES)
        self._class = _with_role(model, ColumnRole.PREDICTED_CLASS)
        self._positive = model.positive_class or (model.classes[1] if len(model.classes) == 2 else "")
        said = f"score >= {model.threshold!r}::double precision"
        if self._class is not None:
            said = f"coalesce({self._is_positive(self._class, 'said')}, {said})"
        self.actual = _sign(self._is_positive(target, "truth"))
        self.decision = _sign(said)
        likely = f"CASE WHEN {self._is_positive(target, 'truth')} THEN score ELSE 1 - score END"
        self.loss = _loss(likely)
        self.brier = f"(1 - {likely}) ^ 2"
        self.scores = f"(SELECT *, ''::text AS class, actual = '{POSITIVE}' AS is_class FROM decided) AS d"  # noqa: S608

    def predicted(self, name: Named) -> str:
        """The columns of a prediction."""
        if self._score is not None:
            score = name(self._score)
        elif self._probabilities is not None:
            score = f"({name(self._probabilities)} ->> {quote_literal(self._positive)})::double precision"
        else:
            score = "NULL::double precision"
        return f"{score} AS score, {name(self._class) if self._class is not None else 'NULL'} AS said"

    def _is_positive(self, column: ModelColumn, sql: str) -> str:
        if column.type is ValueType.BOOL:
            return sql
        return f"({sql}::text = {quote_literal(self._positive or '1')})"


class _ManyAnswers:
    """A classification of several classes: the class that was chosen, or the likeliest; attributes as above."""

    def __init__(self, model: ModelSchema, target: ModelColumn) -> None:
        self._probabilities = _with_role(model, ColumnRole.PROBABILITIES)
        self._class = _with_role(model, ColumnRole.PREDICTED_CLASS)
        likeliest = (
            "(SELECT p.key FROM jsonb_each_text(probabilities) AS p"
            " ORDER BY p.value::double precision DESC, p.key LIMIT 1)"
        )
        self.actual = "truth::text"
        self.decision = f"coalesce(said, {likeliest})"
        self.loss = _loss("coalesce((probabilities ->> truth::text)::double precision, 0)", "probabilities IS NOT NULL")
        self.brier = "NULL::double precision"
        self.scores = (
            "(SELECT d.*, p.key AS class, p.value::double precision AS score, p.key = d.actual AS is_class"
            " FROM decided d, jsonb_each_text(d.probabilities) AS p) AS d"
        )

    def predicted(self, name: Named) -> str:
        """The columns of a prediction."""
        said = f"{name(self._class)}::text" if self._class is not None else "NULL::text"
        probabilities = name(self._probabilities) if self._probabilities is not None else "NULL::jsonb"
        return f"{said} AS said, {probabilities} AS probabilities"


def _sign(condition: str) -> str:
    return f"CASE WHEN {condition} THEN '{POSITIVE}' WHEN NOT {condition} THEN '{NEGATIVE}' END"


def _loss(likely: str, known: str = "score IS NOT NULL") -> str:
    return f"CASE WHEN {known} THEN -ln(least(greatest({likely}, {LEAST_PROBABILITY}), 1 - {LEAST_PROBABILITY})) END"
