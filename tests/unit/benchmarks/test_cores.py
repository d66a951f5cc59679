import pytest

from benchmarks.cores import Costs, best_workers, contention_seen, limit, useful_cores

COSTS = Costs(service_us=1.0, database_us=3.0, wal_bytes=100.0)
PLENTY = 1e12


def rate(**given):
    found = limit(COSTS, **{"contention": 0.0, "disk_bytes_per_s": PLENTY, **given})
    return round(found.rows_per_s), found.of


def test_cores_that_lose_nothing_to_each_other_share_a_row_s_time():
    assert rate(cores=8, workers=4) == (2_000_000, "cores")


def test_a_worker_is_one_core_at_most():
    assert rate(cores=64, workers=1) == (round(2e6 / 3), "backends")
    costs = Costs(service_us=3.0, database_us=1.0, wal_bytes=100.0)
    found = limit(costs, cores=64, workers=2, contention=0.0, disk_bytes_per_s=PLENTY)
    assert (round(found.rows_per_s), found.of) == (666_667, "workers")


def test_the_disk_takes_what_it_takes():
    assert rate(cores=8, workers=4, disk_bytes_per_s=50e6) == (500_000, "disk")


def test_contention_takes_from_every_further_core():
    assert useful_cores(1, 0.1) == 1
    assert useful_cores(11, 0.1) == pytest.approx(5.5)
    assert useful_cores(1_000_000, 0.1) == pytest.approx(10, rel=0.01)


def test_the_contention_that_is_seen_leaves_as_much_at_work_as_was_seen():
    assert useful_cores(2, contention_seen(2, 1.6)) == pytest.approx(1.6)
    assert useful_cores(8, contention_seen(8, 5.0)) == pytest.approx(5.0)
    assert contention_seen(2, 2.1) == 0.0


@pytest.mark.parametrize("cores", [1, 2, 8, 32])
@pytest.mark.parametrize("costs", [COSTS, Costs(service_us=3.0, database_us=1.0, wal_bytes=100.0)])
def test_the_best_workers_are_the_fewest_that_are_not_the_limit(costs, cores):
    def of(workers):
        return limit(costs, cores=cores, workers=workers, contention=0.0, disk_bytes_per_s=PLENTY).of

    workers = best_workers(costs, cores)
    assert of(workers) == "cores"
    assert workers == 1 or of(workers - 1) != "cores"
