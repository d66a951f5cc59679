from headrace_server.storage import migrate


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [migration.number for migration in migrate.known()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_migration_says_which_services_may_go_on() -> None:
    for migration in migrate.known():
        assert 1 <= migration.needs <= migration.number


def test_a_checksum_follows_the_text() -> None:
    first = migrate.Migration(2, "0002_more", 1, "-- needs: 1\nSELECT 1;\n")
    other = migrate.Migration(2, "0002_more", 1, "-- needs: 1\nSELECT 2;\n")
    assert first.checksum != other.checksum
