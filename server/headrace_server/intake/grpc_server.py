"""The gRPC server's options: every limit that keeps a stranger, or a bug, from taking more than its share.

Names and defaults are gRPC core's channel arguments. The client's side of keepalive is in the SDK's channel settings;
the two must agree, or the server ends connections with too_many_pings.
"""

from collections.abc import Sequence

import grpc
from grpc.aio import ServerInterceptor

from headrace_server.config import Intake


def make_server(
    settings: Intake, interceptors: Sequence[ServerInterceptor], *, shares_port: bool = False
) -> grpc.aio.Server:
    """Make the server, without services and ports yet.

    Args:
        settings: Its limits.
        interceptors: What happens around its calls.
        shares_port: Whether other processes listen at its port, too: the workers of one service.
    """
    # Off by itself: a second service on our port must fail, not share it.
    options = _options(settings) | {"grpc.so_reuseport": int(shares_port)}
    return grpc.aio.server(interceptors=list(interceptors), options=list(options.items()))


def _options(settings: Intake) -> dict[str, int]:
    return {
        # Twice the limit of ours, so that a batch that is too large is read and refused by name.
        "grpc.max_receive_message_length": 2 * settings.max_batch_bytes + 64 * 1024,
        "grpc.max_send_message_length": 8 * 1024 * 1024,
        "grpc.max_concurrent_streams": settings.max_concurrent_streams,
        "grpc.max_metadata_size": settings.max_metadata_bytes // 2,  # soft: some are refused from here on
        "grpc.absolute_max_metadata_size": settings.max_metadata_bytes,
        # The probe widens windows until 200 unread streams hold 600 MB; without it they hold 20.
        "grpc.http2.bdp_probe": 0,
        # What a stream may send before its next message is asked for: with the default of 64 KiB a thousand streams
        # hold 60 MB more. It is no slower over 200 ms there and back: what is asked for has a window of its own size.
        "grpc.http2.lookahead_bytes": 16 * 1024,
        "grpc.server_handshake_timeout_ms": 10_000,
        "grpc.keepalive_time_ms": 60_000,
        "grpc.keepalive_timeout_ms": 20_000,
        "grpc.http2.min_ping_interval_without_data_ms": 15_000,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.enable_channelz": 0,
    }
