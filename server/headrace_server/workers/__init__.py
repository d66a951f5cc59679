"""A service of several processes: a parent that keeps the database, the ports and N workers, each a whole replica."""

from headrace_server.workers.assignment import Assignment, read_assignment
from headrace_server.workers.parent import serve_by_workers
from headrace_server.workers.worker import NoWorkerServesError

__all__ = ["Assignment", "NoWorkerServesError", "read_assignment", "serve_by_workers"]
