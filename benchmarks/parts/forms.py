"""The other ways in: row messages, JSON, unary calls, bare columns; and uuid ids in place of text."""

from __future__ import annotations

from benchmarks.arena import Arena
from benchmarks.contest import Subject, contest
from benchmarks.groups import GroupSize
from benchmarks.headrace_paths.publish import Publish, as_frame
from benchmarks.headrace_paths.unary import Unary
from benchmarks.headrace_paths.wire_stream import WireStream, column_form, json_form, row_form
from benchmarks.outcome import Outcome
from benchmarks.peers.raw_copy import CopySource, RawCopy
from benchmarks.rows import THIRTEEN
from benchmarks.scale import Scale
from benchmarks.tables import Table, make_table
from headrace import EventIdType, Identity

NOTE = (
    "Batches of row messages, of JSON and of bare columns are made before the clock, as another language's client "
    "would; publish() has its encoding inside."
)


def run(arena: Arena, scale: Scale) -> Outcome:
    """Measure the forms on APPEND models of the 13-column row, and uuid ids on both kinds of model."""

    def table(stem: str, identity: Identity = Identity.APPEND, ids: EventIdType = EventIdType.TEXT) -> Table:
        return make_table(arena, stem, THIRTEEN, identity, ids)

    groups, full = GroupSize(arena), scale.rows
    copied = table("copy")
    subjects: list[Subject] = [
        RawCopy(arena, "copy_limit", copied, full, CopySource(arena, copied, groups)),
        WireStream(arena, "bare columns", table("bare"), full, column_form),
        Unary(arena, "headrace_unary", table("unary"), full),
        WireStream(arena, "headrace_json", table("json"), scale.share(0.25), json_form),
        WireStream(arena, "headrace_rows", table("rows"), scale.share(0.1), row_form),
    ]
    for identity in (Identity.APPEND, Identity.UNIQUE):
        what = identity.name
        uuids = [table(f"{stem}_uuid", identity, EventIdType.UUID) for stem in ("copy", "columns")]
        subjects += [
            RawCopy(arena, f"copy, uuid, {what}", uuids[0], full, CopySource(arena, uuids[0], groups)),
            Publish(arena, f"columns, uuid, {what}", uuids[1], full, as_frame),
        ]
    results = contest(arena, subjects, max(1, scale.rounds - 2))
    outcome = Outcome(grids=[results.grid("Ways in, 13 columns", "copy_limit", NOTE)])
    for form in ("rows", "json", "unary"):
        outcome.figures[f"events_per_s.{form}"] = results.rate(f"headrace_{form}")
    outcome.figures["ratio.bare_columns_vs_copy"] = results.ratio("bare columns", "copy_limit").median
    for identity in (Identity.APPEND, Identity.UNIQUE):
        ratio = results.ratio(f"columns, uuid, {identity.name}", f"copy, uuid, {identity.name}")
        outcome.figures[f"uuid.ratio.columns_{identity.name.lower()}_vs_copy"] = ratio.median
    return outcome
