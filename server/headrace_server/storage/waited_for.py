"""The mark of a transaction that other replicas may wait for.

A replica that is frozen keeps its locks. Whoever has waited too long for one looks for transactions with this mark
whose client has stopped, and ends them (copying/frozen.py). Transactions that nobody else waits for, such as those of
an upload, have no mark and may take their time.
"""

_NUMBER = 1_214_603_880  # any that nobody else gives to advisory locks of two numbers

MARK = f"pg_advisory_xact_lock_shared({_NUMBER}, 0)"
"""SQL that sets it, to the transaction's end. Shared: it holds up nobody. Called before the lock itself is taken."""

IS_MARK = f"l.locktype = 'advisory' AND l.classid = {_NUMBER} AND l.objid = 0 AND l.objsubid = 2"
"""SQL that tells whether l, a row of pg_locks, is one."""
