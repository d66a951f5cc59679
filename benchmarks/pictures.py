"""Pictures of a run: who is how fast, where a row's time goes, and how cost grows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benchmarks.outcome import Outcome

mpl.use("Agg")
# Speeds against raw COPY, from the public figures.
_SPEEDS: dict[str, Callable[[dict[str, float]], float]] = {
    "raw COPY, one connection": lambda _: 1.0,
    "headrace, publish()": lambda f: f["ratio.columns_append_vs_copy"],
    "headrace, log() loop": lambda f: f["ratio.log_vs_copy"],
    "asyncpg COPY, best size": lambda f: f["ratio.columns_append_vs_copy"] / f["ratio.columns_append_vs_asyncpg_best"],
    "psycopg COPY, best size": lambda f: f["ratio.columns_append_vs_copy"] / f["ratio.columns_append_vs_psycopg_best"],
    "asyncpg COPY, 1,000 rows": lambda f: f["ratio.columns_append_vs_copy"] / f["ratio.columns_vs_asyncpg_1000"],
    "ADBC ingest, best size": lambda f: f["ratio.columns_append_vs_copy"] / f["ratio.columns_vs_adbc"],
    "JSON service, best size": lambda f: f["ratio.columns_append_vs_copy"] / f["ratio.columns_vs_json_service"],
    "asyncpg executemany": lambda f: f["ratio.columns_append_vs_copy"] / f["ratio.columns_vs_executemany"],
    "naive gRPC service": lambda f: f["ratio.columns_append_vs_copy"] / f["ratio.columns_vs_naive_grpc"],
}
_STAGES = ("client", "service", "database")


def draw(outcome: Outcome, folder: Path) -> None:
    """Draw what the outcome has figures for."""
    if {"ratio.columns_append_vs_copy", "ratio.columns_vs_adbc"} <= outcome.figures.keys():
        _speeds(outcome.figures, folder / "speed.png")
    if "cpu_us_per_row.client" in outcome.figures:
        _processor_time(outcome.figures, folder / "cpu.png")
    for name, points in outcome.series.items():
        _line(name, points, folder / f"{name.lower().replace(', ', '_')}.png")


def _speeds(figures: dict[str, float], file: Path) -> None:
    bars = {name: of(figures) for name, of in _SPEEDS.items()}
    figure, axes = plt.subplots(figsize=(8, 4))
    colours = ["#1f6f8b" if name.startswith("headrace") else "#b8b8b8" for name in bars]
    axes.barh(list(bars), list(bars.values()), color=colours)
    axes.margins(x=0.1)
    axes.invert_yaxis()
    axes.set_xlabel("speed against raw COPY of prepared bytes over one connection; 13 columns, APPEND", fontsize=9)
    for place, value in enumerate(bars.values()):
        axes.text(value, place, f" {value:.2f}", va="center", fontsize=8)
    _save(figure, file)


def _processor_time(figures: dict[str, float], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(8, 2.2))
    for row, (label, prefix) in enumerate({"13 columns": "", "flights, 19 columns": "flights."}.items()):
        left = 0.0
        for stage, colour in zip(_STAGES, ("#8bc1d4", "#1f6f8b", "#b8b8b8"), strict=True):
            value = figures.get(f"{prefix}cpu_us_per_row.{stage}", 0.0)
            axes.barh(label, value, left=left, color=colour, label=stage if row == 0 else None)
            axes.text(left + value / 2, row, f"{value:.2f}", ha="center", va="center", fontsize=8)
            left += value
    axes.set_xlabel("processor time, µs a row: publish() of dicts, APPEND")
    axes.legend(loc="lower right", fontsize=8)
    _save(figure, file)


def _line(name: str, points: list[tuple[float, float]], file: Path) -> None:
    figure, axes = plt.subplots(figsize=(6, 3))
    axes.plot([x for x, _ in points], [y for _, y in points], "o-", color="#1f6f8b")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("µs a row")
    axes.set_xlabel("columns" if name == "width" else "millions of rows in the table")
    axes.set_title(name, fontsize=9)
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)
