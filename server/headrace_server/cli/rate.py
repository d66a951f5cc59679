"""The progress bar's rate, in rows a second."""

from rich.progress import ProgressColumn, Task
from rich.text import Text


class RowsPerSecond(ProgressColumn):
    """How fast rows are settled."""

    def render(self, task: Task) -> Text:
        """Return the rate of the last seconds, or of the whole once it is done."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f} rows/s", style="progress.data.speed")
