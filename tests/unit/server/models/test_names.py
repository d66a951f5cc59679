import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_server.errors import NameInvalidError
from headrace_server.models import names
from headrace_server.models.system_columns import SYSTEM_NAMES

SHAPE = re.compile(r"[a-z][a-z0-9_]{0,47}")


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("flight_delay", "flight_delay"),
        ("Flight Delay", "flight_delay"),
        ("flight-delay (v2)", "flight_delay_v2"),
        ("  a__b  ", "a_b"),
        ("Café", "cafe"),
        ("Straße", "strasse"),
        ("ＡＢＣ１", "abc1"),
        ("2nd class", "n2nd_class"),
        ("α", "u3b1"),
        ("温度", "u6e29u5ea6"),
        ("price €", "price"),
        ("select", "select"),
        ('a"; DROP TABLE x; --', "a_drop_table_x"),
    ],
)
def test_names_fold_as_documented(written: str, folded: str) -> None:
    assert names.fold(written) == folded


@given(st.text(max_size=256))
def test_whatever_folds_is_a_plain_identifier_and_folds_to_itself(written: str) -> None:
    try:
        folded = names.fold(written)
    except NameInvalidError:
        return
    assert SHAPE.fullmatch(folded)
    assert names.fold(folded) == folded


def test_long_names_that_differ_at_their_end_stay_distinct() -> None:
    stem = "a_feature_with_a_name_that_goes_on_and_on_and_on_" * 2
    first, second = names.fold(f"{stem}1"), names.fold(f"{stem}2")
    assert first != second
    assert len(first) <= names.MAX_NAME_CHARACTERS
    assert names.fold(f"{stem}1".upper()) == first


@pytest.mark.parametrize("name", ["", "   ", "---", "€", "a\0b", "\ud800", "x" * 257])
def test_what_cannot_be_a_name_is_refused(name: str) -> None:
    with pytest.raises(NameInvalidError):
        names.fold(name)


@pytest.mark.parametrize("name", ["public", "Headrace", "pg_stat", "PG-Stat", "information_schema", "timescaledb_x"])
def test_reserved_names_are_refused_for_models_and_projects(name: str) -> None:
    with pytest.raises(NameInvalidError, match="reserved"):
        names.fold_model(name)
    with pytest.raises(NameInvalidError, match="reserved"):
        names.fold_project(name)


@pytest.mark.parametrize("suffix", names.RESERVED_SUFFIXES)
def test_a_model_may_not_be_named_like_another_models_table(suffix: str) -> None:
    with pytest.raises(NameInvalidError, match=suffix):
        names.fold_model(f"flight{suffix}")


@pytest.mark.parametrize("name", [*sorted(SYSTEM_NAMES), "xmin", "ctid", "Event ID"])
def test_a_column_named_like_a_system_column_gets_a_prefix(name: str) -> None:
    assert names.fold_column(name) == f"f_{names.fold(name)}"


def test_the_inboxs_own_names_are_taken_for_labels_only() -> None:
    assert names.fold_column("seq") == "seq"
    assert names.fold_column("seq", label=True) == "f_seq"


def test_every_table_of_the_longest_model_name_fits_an_identifier() -> None:
    for suffix in (*names.RESERVED_SUFFIXES, "_labels_inbox"):
        longest = "m" * names.MAX_NAME_CHARACTERS
        assert names.quote_identifier(names.beside(longest, suffix)).endswith(f'{suffix}"')
        assert names.beside(longest, suffix) != names.beside(longest[:-1] + "n", suffix)
        assert names.beside("flights", suffix) == f"flights{suffix}"


@pytest.mark.parametrize(
    ("name", "quoted"), [("a", '"a"'), ('a"b', '"a""b"'), ('"; DROP TABLE x; --', '"""; DROP TABLE x; --"')]
)
def test_identifiers_are_quoted_whatever_is_in_them(name: str, quoted: str) -> None:
    assert names.quote_identifier(name) == quoted


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 64])
def test_what_postgresql_would_change_or_cut_is_no_identifier(name: str) -> None:
    with pytest.raises(ValueError, match="no identifier"):
        names.quote_identifier(name)


@pytest.mark.parametrize(("text", "literal"), [("it's", "'it''s'"), ("a\\'b", " E'a\\\\''b'"), ("", "''")])
def test_literals_mean_the_text_under_any_string_setting(text: str, literal: str) -> None:
    assert names.quote_literal(text) == literal


def test_a_literal_cannot_hold_nul() -> None:
    with pytest.raises(ValueError, match="NUL"):
        names.quote_literal("a\0b")


def test_a_tables_name_is_quoted_with_its_schema() -> None:
    assert names.qualified("main", "flight_delay") == '"main"."flight_delay"'
