"""What is derived from a model once a revision: row schemas, landings, messages."""

from collections.abc import Callable
from typing import Generic, TypeVar

from headrace_server.models.schema import ModelSchema

Derived = TypeVar("Derived")


class PerRevision(Generic[Derived]):
    """Derives a value from a model and keeps it until the model has a newer revision; one value a model is kept.

    Of a model that only might come to be (revision 0) nothing is kept.
    """

    def __init__(self, derive: Callable[[ModelSchema], Derived]) -> None:
        self._derive = derive
        self._kept: dict[tuple[str, str], tuple[int, Derived]] = {}

    def __call__(self, model: ModelSchema) -> Derived:
        """The value for this revision of the model."""
        key = (model.project, model.sql_name)
        kept = self._kept.get(key)
        if kept is not None and kept[0] == model.revision:
            return kept[1]
        derived = self._derive(model)
        if model.revision and (kept is None or kept[0] < model.revision):
            self._kept[key] = (model.revision, derived)
        return derived
