import pytest
from pydantic import SecretStr, ValidationError

from headrace_server.config import Access, Batching, Database, Intake, Kafka, Listen, Settings, Tls


def test_settings_made_by_hand_look_at_nothing_else(monkeypatch, tmp_path):
    (tmp_path / "headrace.toml").write_text("[models]\ninfer = true\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_LISTEN_GRPC_PORT", "1")
    assert Settings().listen.grpc_port == 50_051
    assert not Settings().models.infer


def test_a_topic_s_group_says_what_is_read_into_what():
    assert Kafka(topic="t", model="m").reading_group == "headrace-main-t-m"
    assert Kafka(topic="t", project="shop").reading_group == "headrace-shop-t"
    assert Kafka(topic="t", group="mine").reading_group == "mine"


def test_without_a_word_the_memory_grows_with_the_workers():
    assert Intake().memory_budget_bytes == 64 * 2**20
    assert Intake(workers=4).memory_budget_bytes == 4 * 64 * 2**20


def test_settings_are_frozen():
    settings = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.listen.grpc_port = 1
    with pytest.raises(ValidationError, match="frozen"):
        settings.listen = Listen()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_no_leave(host):
    assert Settings(listen=Listen(grpc_host=host, http_host=host)).listen.grpc_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "localhost.example.com", "ml-1"])
@pytest.mark.parametrize("door", ["grpc_host", "http_host"])
def test_anything_but_loopback_is_refused_at_either_door(door, host):
    with pytest.raises(ValidationError, match=f"listen.{door}"):
        Settings(listen=Listen.model_validate({door: host}))


@pytest.mark.parametrize(
    ("groups", "key"),
    [
        ({"intake": Intake(max_batch_bytes=16 * 2**20)}, "intake.memory_budget_bytes"),
        ({"intake": Intake(workers=3, memory_budget_bytes=128 * 2**20)}, "intake.memory_budget_bytes"),
        ({"batching": Batching(group_max_bytes=2**20)}, "batching.group_max_bytes"),
        ({"batching": Batching(group_max_rows=10)}, "batching.group_max_rows"),
        ({"intake": Intake(max_batch_rows=100)}, "suggest.batch_rows"),
        ({"listen": Listen(grpc_port=8080)}, "listen.http_port"),
        ({"database": Database(url=SecretStr("postgresql://h/d"), port=5433)}, "database.port"),
        ({"kafka": Kafka(brokers="b:9092", model="m")}, "kafka.topic"),
        ({"kafka": Kafka(brokers="b:9092", topic="t")}, "kafka.model"),
    ],
)
def test_settings_that_cannot_go_together_are_refused(groups, key):
    with pytest.raises(ValidationError, match=key):
        Settings(**groups)


def test_both_doors_may_take_free_ports():
    assert Settings(listen=Listen(grpc_port=0, http_port=0)).listen.http_port == 0


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://u:hunter2@db:5432/ml?sslmode=require", "postgresql://db:5432/ml"),
        ("postgres://u:hunter2@h1:5432,h2:5432/ml", "postgres://h1:5432,h2:5432/ml"),
        ("postgresql://u:hunter2/hunter2@db/ml", "postgresql://db/ml"),
        ("postgresql://u:hunter2@hunter2@db/ml", "postgresql://db/ml"),
        ("postgresql://u:hunter2?hunter2@db/ml", "postgresql://***"),
        ("postgresql://db/ml?user=u&password=hunter2", "postgresql://db/ml"),
        ("postgresql://db/ml?password=hunter2@hunter2", "postgresql://***"),
    ],
)
def test_the_place_of_a_database_has_no_secrets(url, place):
    assert Database(url=SecretStr(url)).place == place


def test_without_a_url_the_place_is_the_embedded_database():
    assert Database().place == "embedded"


def test_beyond_loopback_it_takes_both_tls_and_keys(tmp_path):
    listen, tls = Listen(grpc_host="0.0.0.0"), Tls(certificate=tmp_path / "c", key=tmp_path / "k")
    with pytest.raises(ValidationError, match="takes TLS"):
        Settings(listen=listen, access=Access(require_keys=True))
    with pytest.raises(ValidationError, match="takes keys"):
        Settings(listen=listen, tls=tls)
    assert Settings(listen=listen, tls=tls, access=Access(require_keys=True)).listen.grpc_host == "0.0.0.0"
    assert Settings(listen=Listen(grpc_host="0.0.0.0", insecure=True)).listen.insecure


@pytest.mark.parametrize("given", [{"certificate": "c"}, {"key": "k"}, {"client_ca": "a"}])
def test_a_certificate_and_its_key_belong_together(given):
    with pytest.raises(ValidationError, match="TLS needs"):
        Settings(tls=Tls.model_validate(given))
