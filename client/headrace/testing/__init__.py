"""A headrace for tests: in this process, without a database, and it fails on request.

with FakeService() as service, headrace.connect(service.address) as client:
    event_id = client.model("flight_delay").log({"distance": 1400.0}, prediction=0.83)
    client.flush(10)
    assert service.events("flight_delay")[0]["event_id"] == event_id

It is a real gRPC server that keeps the protocol (epochs, seqs, replays, credit, drain) with its rows in memory. Models
that were registered check their rows as the service does; others take anything. `service.behaviour` is how it fails.
docs/testing.md has a recipe for each fault.
"""

from headrace.testing.behaviour import Behaviour, Status
from headrace.testing.ledger import Ledger, Rule, StoredRow
from headrace.testing.rejection import Rejection
from headrace.testing.service import FakeService

__all__ = ["Behaviour", "FakeService", "Ledger", "Rejection", "Rule", "Status", "StoredRow"]
