"""The tables of docs/scale.md are those that the arithmetic makes."""

from dataclasses import replace

from bench.scale import BEGIN, END, PAGE, Costs, plan, tables


def test_the_page_has_the_tables_of_today() -> None:
    assert PAGE.read_text().split(BEGIN)[1].split(END)[0].strip() == tables()


def test_a_longer_segment_takes_fewer_of_everything() -> None:
    usual, longer = Costs(), replace(Costs(), segment_seconds=10)
    for by_edge in (True, False):
        before, after = plan(10_000_000, usual, by_edge), plan(10_000_000, longer, by_edge)
        assert after.workers < before.workers
        assert after.primaries < before.primaries
        assert after.dollars < before.dollars


def test_a_service_has_two_workers_and_three_primaries_however_small() -> None:
    small = plan(1, Costs(), by_edge=True)
    assert (small.workers, small.primaries) == (2, 3)
