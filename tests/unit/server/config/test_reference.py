from pathlib import Path

import pytest

from headrace_server.config import load
from headrace_server.config.effective import as_toml
from headrace_server.config.reference import documentation, markdown
from headrace_server.config.variables import GROUPS, VARIABLES

DOCS = Path(__file__).parents[4] / "docs"


def test_the_settings_page_is_fresh():
    page = (DOCS / "settings.md").read_text()
    assert page == markdown(), "renew it: python -m headrace_server.config.reference > docs/settings.md"


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.key)
def test_every_setting_is_documented(variable):
    assert documentation()[GROUPS[variable.group].__name__, variable.field]


def test_no_two_settings_share_a_name():
    names = [name for variable in VARIABLES for name in (*variable.names, *variable.file_names)]
    assert len(names) == len(set(names))


def test_the_settings_in_force_are_shown_as_a_file_that_makes_them_again(tmp_path):
    environ = {"HEADRACE_INTAKE_MEMORY_BUDGET_BYTES": "64MiB", "HEADRACE_DATA_DIR": '/srv/"odd"\\folder'}
    loaded = load(flags={"listen.grpc_port": 0}, environ=environ)
    text = as_toml(loaded)
    file = tmp_path / "headrace.toml"
    file.write_text(text)
    assert load(environ={}, file=file).settings == loaded.settings
    assert "grpc_port = 0  # flag for listen.grpc_port" in text
    assert "memory_budget_bytes = 67108864  # HEADRACE_INTAKE_MEMORY_BUDGET_BYTES" in text


def test_the_settings_in_force_hide_secrets():
    text = as_toml(load(environ={"HEADRACE_DATABASE_URL": "postgresql://u:hunter2@db/ml"}))
    assert '# url = "postgresql://db/ml"  # HEADRACE_DATABASE_URL' in text
    assert "hunter2" not in text
