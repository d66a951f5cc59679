from pathlib import Path

import pytest

from headrace_server.config import Settings, SettingsError, load
from headrace_server.config.loading import Fault

OPEN_TO_ALL = {"HEADRACE_LISTEN_GRPC_HOST": "0.0.0.0"}
URL = "postgresql://headrace:hunter2@db:5432/ml"


@pytest.fixture(autouse=True)
def an_empty_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def faults(**layers) -> list[Fault]:
    with pytest.raises(SettingsError) as caught:
        load(**{"environ": {}, **layers})
    return caught.value.faults


def toml(text) -> Path:
    file = Path("headrace.toml")
    file.write_text(text)
    return file


def test_nothing_set_is_the_defaults():
    loaded = load(environ={})
    assert loaded.settings == Settings()
    assert loaded.origins == {}


def test_flags_beat_the_environment_beats_the_file_beats_the_defaults():
    toml("[listen]\ngrpc_port = 1\nhttp_port = 2\n[drain]\ngrace_s = 3\n")
    environ = {"HEADRACE_LISTEN_GRPC_PORT": "11", "HEADRACE_LISTEN_HTTP_PORT": "12"}
    loaded = load(flags={"listen.grpc_port": 21, "listen.insecure": None}, environ=environ)
    settings = loaded.settings
    assert (settings.listen.grpc_port, settings.listen.http_port, settings.drain.grace_s) == (21, 12, 3)
    assert settings.intake == Settings().intake
    assert loaded.origins == {
        "listen.grpc_port": "flag for listen.grpc_port",
        "listen.http_port": "HEADRACE_LISTEN_HTTP_PORT",
        "drain.grace_s": "headrace.toml",
    }


def test_the_database_s_url_goes_by_its_plain_name_and_is_not_shown():
    settings = load(environ={"HEADRACE_DATABASE_URL": URL}).settings
    assert settings.database.url is not None
    assert settings.database.url.get_secret_value() == URL
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "key"), [("HEADRACE_DATA_DIR", "data_dir"), ("HEADRACE_DATABASE_DATA_DIR", "data_dir")]
)
def test_the_data_directory_has_a_short_name_too(name, key):
    assert getattr(load(environ={name: "/srv/headrace"}).settings.database, key) == Path("/srv/headrace")


def test_a_secret_may_be_in_a_file():
    Path("url").write_text(URL + "\n")
    loaded = load(environ={"HEADRACE_DATABASE_URL_FILE": "url"})
    assert loaded.settings.database.url is not None
    assert loaded.settings.database.url.get_secret_value() == URL
    assert loaded.origins == {"database.url": "HEADRACE_DATABASE_URL_FILE"}


def test_a_secret_s_file_that_is_missing_or_empty_is_a_fault():
    (missing,) = faults(environ={"HEADRACE_DATABASE_URL_FILE": "nowhere"})
    assert (missing.name, missing.value) == ("HEADRACE_DATABASE_URL_FILE", "nowhere")
    assert "cannot be read" in missing.rule
    Path("empty").write_text("\n")
    (empty,) = faults(environ={"HEADRACE_DATABASE_URL_FILE": "empty"})
    assert empty.rule == "the file is empty"


def test_what_is_no_secret_cannot_be_in_a_file():
    (fault,) = faults(environ={"HEADRACE_LISTEN_GRPC_PORT_FILE": "port"})
    assert "no such setting" in fault.rule


def test_two_names_for_one_setting_are_a_fault():
    (fault,) = faults(environ={"HEADRACE_DATABASE_URL": URL, "HEADRACE_DATABASE_URL_FILE": "url"})
    assert fault.name == "HEADRACE_DATABASE_URL and HEADRACE_DATABASE_URL_FILE"


def test_an_empty_variable_counts_as_not_set():
    assert load(environ={"HEADRACE_DATABASE_URL": "", "HEADRACE_NO_SUCH_THING": ""}).settings == Settings()


def test_an_unknown_variable_is_a_fault_that_shows_no_value_and_guesses_what_was_meant():
    (fault,) = faults(environ={"HEADRACE_DATABSE_URL": URL})
    assert (fault.name, fault.value) == ("HEADRACE_DATABSE_URL", None)
    assert "did you mean HEADRACE_DATABASE_URL?" in fault.rule


def test_variables_of_others_are_left_alone():
    environ = {"PATH": "/bin", "HEADRACE_ADDRESS": "localhost:50051", "HEADRACE_API_KEY": "k", "HEADRACES_X": "1"}
    assert load(environ=environ).settings == Settings()


@pytest.mark.parametrize(
    ("text", "name", "rule"),
    [
        ("[listen]\ngrcp_port = 1", "listen.grcp_port in headrace.toml", "did you mean listen.grpc_port?"),
        ("[lissten]\nnothing = 1", "lissten.nothing in headrace.toml", "no such setting"),
        ("listen = 1", "listen in headrace.toml", "no such setting"),
        ("[listen]\ngrpc_port = 'x'", "listen.grpc_port in headrace.toml", "must be a valid integer"),
        ("[listen\n", "headrace.toml", "cannot be read"),
    ],
)
def test_a_fault_of_the_file_is_named_by_its_key(text, name, rule):
    (fault,) = faults(file=toml(text))
    assert fault.name == name
    assert rule in fault.rule


def test_a_file_that_was_named_must_be_there():
    assert "cannot be read" in faults(file=Path("nowhere.toml"))[0].rule
    assert "cannot be read" in faults(environ={"HEADRACE_CONFIG": "nowhere.toml"})[0].rule


def test_the_environment_may_name_the_file():
    Path("other.toml").write_text("[models]\ninfer = true\n")
    loaded = load(environ={"HEADRACE_CONFIG": "other.toml"})
    assert loaded.settings.models.infer
    assert loaded.origins == {"models.infer": "other.toml"}


def test_all_faults_are_named_at_once_under_the_names_their_authors_used():
    toml("[drain]\ngrace_s = -1\n[intake]\nbogus = 1\n")
    environ = {
        "HEADRACE_INTAKE_MAX_BATCH_BYTES": "5 potatoes",
        "HEADRACE_LOG_LEVEL": "loud",
        "HEADRACE_TYPO": "1",
        "HEADRACE_DATABASE_URL": "mysql://u:hunter2@h/db",
    }
    with pytest.raises(SettingsError) as caught:
        load(flags={"listen.http_port": 70_000}, environ=environ)
    assert {fault.name: fault.value for fault in caught.value.faults} == {
        "HEADRACE_TYPO": None,
        "intake.bogus in headrace.toml": None,
        "listen.http_port": "70000",
        "HEADRACE_DATABASE_URL": None,
        "HEADRACE_INTAKE_MAX_BATCH_BYTES": "'5 potatoes'",
        "drain.grace_s in headrace.toml": "-1",
        "HEADRACE_LOG_LEVEL": "'loud'",
    }
    assert "7 settings are wrong" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_sizes_may_have_units():
    settings = load(environ={"HEADRACE_INTAKE_MEMORY_BUDGET_BYTES": "1GiB"}).settings
    assert settings.intake.memory_budget_bytes == 1024**3


def test_listening_beyond_loopback_is_refused_and_the_message_says_why_and_what_to_do():
    (fault,) = faults(environ=OPEN_TO_ALL)
    assert (fault.name, fault.value) == ("HEADRACE_LISTEN_GRPC_HOST", "'0.0.0.0'")
    for words in ("TLS", "keys", "--insecure", "HEADRACE_INSECURE=true"):
        assert words in fault.rule


def test_insecure_spelled_out_allows_it():
    assert load(flags={"listen.insecure": True}, environ=OPEN_TO_ALL).settings.listen.grpc_host == "0.0.0.0"
    assert load(environ={**OPEN_TO_ALL, "HEADRACE_INSECURE": "true"}).settings.listen.insecure


def test_contradictions_are_named_together_by_their_authors_names():
    found = faults(
        environ={
            "HEADRACE_DATABASE_URL": URL,
            "HEADRACE_DATA_DIR": "/srv",
            "HEADRACE_INTAKE_MAX_BATCH_ROWS": "500",
            "HEADRACE_LISTEN_HTTP_PORT": "50051",
        },
        flags={"listen.http_host": "ml.example.com"},
    )
    assert {fault.name for fault in found} == {
        "listen.http_host",
        "suggest.batch_rows",
        "HEADRACE_LISTEN_HTTP_PORT",
        "HEADRACE_DATA_DIR",
    }
