"""The asyncio face of the client: the same core, awaited.

    async with headrace.aio.connect("localhost:50051") as client:
        model = client.model("flight_delay", version="v1")
        event_id = model.log(features={...}, prediction=0.83)      # no await: it never blocks
        result = await model.publish(rows)
        await client.flush()

`log`, `log_label` and the other log methods are the very ones of the sync handle. What waits for the service runs on a
thread of its own and settles a future of the caller's loop by call_soon_threadsafe; a cancelled await expires the
wait's deadline, so the thread ends within a second. gRPC's own asyncio stack is not used: a process may have many
loops, and it bears one.
"""

from headrace.aio.client import AsyncClient, connect
from headrace.aio.dead_letters import AsyncDeadLetters
from headrace.aio.events import AsyncEvents
from headrace.aio.job import AsyncJob
from headrace.aio.model import AsyncModel

__all__ = ["AsyncClient", "AsyncDeadLetters", "AsyncEvents", "AsyncJob", "AsyncModel", "connect"]
