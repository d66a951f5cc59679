"""The value types of columns: what each is on the wire, in memory (Arrow) and in PostgreSQL.

One row a type. Decoding yields any of these Arrow types, validation casts to the column's own, copying encodes it.
"""

from dataclasses import dataclass
from enum import Enum

import pyarrow as pa

from headrace.v1 import model_pb2

TIMESTAMP = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True)
class TypeFacts:
    """What a value type is in the three worlds."""

    wire: "model_pb2.ValueType.ValueType"
    arrow: pa.DataType
    sql: str


class ValueType(Enum):
    """Type of a column's values. VECTOR columns carry their dimension beside the type."""

    BOOL = TypeFacts(model_pb2.VALUE_TYPE_BOOL, pa.bool_(), "boolean")
    INT64 = TypeFacts(model_pb2.VALUE_TYPE_INT64, pa.int64(), "bigint")
    FLOAT64 = TypeFacts(model_pb2.VALUE_TYPE_FLOAT64, pa.float64(), "double precision")
    STRING = TypeFacts(model_pb2.VALUE_TYPE_STRING, pa.string(), "text")
    CATEGORY = TypeFacts(model_pb2.VALUE_TYPE_CATEGORY, pa.string(), "text")
    TIMESTAMP = TypeFacts(model_pb2.VALUE_TYPE_TIMESTAMP, TIMESTAMP, "timestamptz")
    VECTOR = TypeFacts(model_pb2.VALUE_TYPE_VECTOR, pa.list_(pa.float32()), "real[]")
    STRING_LIST = TypeFacts(model_pb2.VALUE_TYPE_STRING_LIST, pa.list_(pa.string()), "text[]")
    JSON = TypeFacts(model_pb2.VALUE_TYPE_JSON, pa.string(), "jsonb")
    # Large, as opposed to pa.binary(), which are texts that may be no UTF-8 (decoding/decoded.py).
    BYTES = TypeFacts(model_pb2.VALUE_TYPE_BYTES, pa.large_binary(), "bytea")

    @property
    def wire(self) -> "model_pb2.ValueType.ValueType":
        """The proto enum's value."""
        return self.value.wire

    @property
    def arrow(self) -> pa.DataType:
        """The Arrow type its cells have between validation and the COPY."""
        return self.value.arrow

    @property
    def sql(self) -> str:
        """The PostgreSQL type of its column."""
        return self.value.sql

    @staticmethod
    def from_wire(wire: int) -> "ValueType | None":
        """The type of a proto value, or None for an unknown one."""
        return next((value_type for value_type in ValueType if value_type.wire == wire), None)
