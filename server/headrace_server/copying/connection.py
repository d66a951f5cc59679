"""What a connection is to the copiers, how they get one, and what it may throw at them."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[Any]"
Connect = Callable[[], Awaitable[Connection]]

# What a connection can throw at its user; everything else is a defect of ours.
DATABASE_ERRORS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, EOFError)
