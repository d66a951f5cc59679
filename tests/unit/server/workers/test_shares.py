from headrace_server.config import Batching, Database, Http, Intake, Kafka, Queries, Settings
from headrace_server.config.settings import KIB, MIB
from headrace_server.workers.shares import at_place, share_of


def test_bounds_are_divided_and_everything_else_is_the_services():
    settings = Settings(
        intake=Intake(workers=4, memory_budget_bytes=400 * MIB, max_batch_rows=5_000),
        suggest={"batch_rows": 5_000},
        batching=Batching(copiers=8),
        queries=Queries(max_concurrent=12, statement_timeout_s=7),
        http=Http(max_posts=40, max_connections=256),
        kafka=Kafka(in_flight_bytes=16 * MIB),
    )
    share = share_of(settings)
    assert (share.intake.workers, share.intake.memory_budget_bytes) == (1, 100 * MIB)
    assert (share.batching.copiers, share.queries.max_concurrent) == (2, 3)
    assert (share.http.max_posts, share.http.max_connections) == (10, 64)
    assert share.kafka.in_flight_bytes == 4 * MIB
    assert (share.intake.max_batch_rows, share.queries.statement_timeout_s) == (5_000, 7)


def test_each_worker_gets_at_least_the_least_that_works():
    settings = Settings(
        intake=Intake(workers=16),
        batching=Batching(copiers=1),
        queries=Queries(max_concurrent=1),
        http=Http(max_posts=1, max_connections=8),
        kafka=Kafka(in_flight_bytes=2 * KIB),
    )
    share = share_of(settings)
    assert (share.batching.copiers, share.queries.max_concurrent) == (1, 1)
    assert (share.http.max_posts, share.http.max_connections) == (1, 8)
    assert share.kafka.in_flight_bytes == KIB


def test_without_a_word_each_worker_has_the_memory_of_a_service():
    assert share_of(Settings(intake=Intake(workers=3))).intake.memory_budget_bytes == 64 * MIB


def test_the_least_budget_that_settings_allow_is_enough_for_each_worker():
    intake = Intake(workers=3, max_batch_bytes=4 * MIB, memory_budget_bytes=3 * 12 * 4 * MIB)
    assert share_of(Settings(intake=intake)).intake.memory_budget_bytes == 12 * 4 * MIB


def test_a_share_is_placed_at_the_parents_database_and_ports(tmp_path):
    share = share_of(Settings(intake=Intake(workers=2), database=Database(data_dir=tmp_path, port=5_999)))
    placed = at_place(share, database_url="postgresql://u@/db?host=/s", grpc_port=1_001, http_port=1_002)
    assert (placed.listen.grpc_port, placed.listen.http_port) == (1_001, 1_002)
    assert placed.database.url is not None
    assert placed.database.url.get_secret_value() == "postgresql://u@/db?host=/s"
    assert (placed.database.data_dir, placed.database.port) == (None, None)
