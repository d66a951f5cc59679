import pytest

from headrace_server.access.key_text import KeyText, new_key_text, parse


def test_a_key_is_read_from_the_text_it_is_shown_as() -> None:
    key = new_key_text()
    assert parse(key.shown()) == key
    assert len(key.shown()) == 75


def test_no_two_keys_are_alike() -> None:
    keys = {new_key_text().shown() for _ in range(1_000)}
    assert len({text.split("_")[1] for text in keys}) == len({text.split("_")[2] for text in keys}) == 1_000


@pytest.mark.parametrize(
    "text", ["", "hr_", "Bearer", "sk_live_1", "hr_a_b", "hr_" + "a" * 12 + "_" + "a" * 59, "\0", "é"]
)
def test_what_is_no_key_is_none(text: str) -> None:
    assert parse(text) is None


def test_a_key_with_any_character_changed_or_missing_is_none() -> None:
    text = new_key_text().shown()
    for place in range(len(text)):
        assert parse(text[:place] + text[place + 1 :]) is None
        changed = "b" if text[place] == "a" else "a"
        assert parse(text[:place] + changed + text[place + 1 :]) is None


def test_only_the_secret_opens_what_was_kept_of_it() -> None:
    key, other = new_key_text(), new_key_text()
    assert key.opens(key.hash())
    assert not other.opens(key.hash())
    assert not KeyText(other.id, key.secret).opens(key.hash()), "a hash opens nothing under another id"


def test_neither_text_nor_hash_shows_the_secret() -> None:
    key = new_key_text()
    assert key.secret not in repr(key)
    assert key.secret.encode() not in key.hash()
