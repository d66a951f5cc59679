"""The one table of who may call what: each RPC, and the scopes of which a key must have one.

A new RPC gets its line here; without one it is refused, whoever calls, keys or no keys. The HTTP door has no table of
its own: its routes are twins of RPCs (http/routes.py). Whose rows the call is about is not in the table: every request
names its project in a field `project`, and access/request_project.py holds that against the credential.
"""

from collections.abc import Mapping

from headrace_server.access.scope import Scope

INGEST, LABEL, READ, ADMIN = Scope.INGEST, Scope.LABEL, Scope.READ, Scope.ADMIN

RULES: Mapping[str, frozenset[Scope]] = {
    f"/headrace.v1.{name}": frozenset(scopes)
    for name, scopes in {
        # Which kinds of rows a key may send is a question to each batch (Caller.may_send).
        "IngestService/Ingest": {INGEST, LABEL},
        "IngestService/Publish": {INGEST, LABEL},
        # Model servers register what they serve when they start.
        "ModelService/RegisterModel": {INGEST, ADMIN},
        "ModelService/GetModel": {INGEST, LABEL, READ, ADMIN},
        "ModelService/ListModels": {INGEST, LABEL, READ, ADMIN},
        "ModelService/UpdateModel": {ADMIN},
        "QueryService/GetEvents": {READ},
        "QueryService/QueryEvents": {READ},
        "QueryService/GetModelStatistics": {READ, ADMIN},
        "DeadLetterService/ListDeadLetters": {READ, ADMIN},
        "DeadLetterService/GetDeadLetter": {READ, ADMIN},
        "DeadLetterService/ReplayDeadLetters": {ADMIN},
        "DeadLetterService/DropDeadLetters": {ADMIN},
        "DeliveryService/GetDeliveryReport": {READ, ADMIN},
        "MonitoringService/GetVolume": {READ, ADMIN},
        "MonitoringService/GetPerformance": {READ, ADMIN},
        "JobService/GetJob": {INGEST, LABEL, READ, ADMIN},
        "JobService/ListJobs": {INGEST, LABEL, READ, ADMIN},
        "JobService/CancelJob": {INGEST, ADMIN},
        "DatasetService/UploadDataset": {INGEST, ADMIN},
        "DatasetService/GetDataset": {INGEST, READ, ADMIN},
        "DatasetService/ListDatasets": {INGEST, READ, ADMIN},
        "DatasetService/DropDataset": {ADMIN},
        "DatasetService/SetBaseline": {ADMIN},
        "DeletionService/DeleteEvents": {ADMIN},
        "MonitoringService/GetDrift": {READ, ADMIN},
        "KeyService/CreateKey": {ADMIN},
        "KeyService/ListKeys": {ADMIN},
        "KeyService/RotateKey": {ADMIN},
        "KeyService/RevokeKey": {ADMIN},
    }.items()
} | {"/metrics": frozenset({READ, ADMIN})}  # of all projects together, names of none

# Load balancers and tools ask without a key; the answers hold nothing of anybody's.
OPEN_SERVICES = frozenset({"grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"})

# Keys' acts are in the audit log by the transactions that do them (access/keys.py).
RECORDED_BY_ITSELF = "/headrace.v1.KeyService/"


def is_recorded(method: str) -> bool:
    """Tell whether calls of the method are administrative acts that the interceptor writes down."""
    return scopes_for(method) == {ADMIN} and not method.startswith(RECORDED_BY_ITSELF)


def is_open(method: str) -> bool:
    """Tell whether anybody may call the method, `/package.Service/Method`."""
    return method.split("/")[1] in OPEN_SERVICES


def scopes_for(method: str) -> frozenset[Scope]:
    """Return the scopes of which a caller needs one; none where the table has no line for the method."""
    return RULES.get(method, frozenset())
