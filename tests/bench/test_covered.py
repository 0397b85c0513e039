"""The table of what the tests run: rooms are added up, those that decide come first, and what is missing is named."""

from typing import Any

from bench.covered import missing, rooms, table, whole


def measured(lines: int, run: int, branches: int, taken: int, *arcs: list[int]) -> dict[str, Any]:
    counts = {"num_statements": lines, "covered_lines": run, "num_branches": branches, "covered_branches": taken}
    return {"summary": counts, "missing_branches": list(arcs)}


FILES = {
    "src/streamlimit/aws.py": measured(100, 50, 0, 0),
    "src/streamlimit/limiter.py": measured(10, 10, 4, 3, [7, -1]),
    "src/streamlimit/store/contract.py": measured(10, 10, 6, 6),
    "src/streamlimit/store/sqlite/rows.py": measured(30, 27, 10, 9, [3, 5]),
}


def test_a_room_is_all_of_its_files() -> None:
    found = {room.name: room for room in rooms(FILES)}
    assert list(found) == ["aws", "limiter", "store"]
    assert found["store"].lines == 37 / 40
    assert found["store"].branches == 15 / 16
    assert found["aws"].branches == 1.0, "it has none"
    assert whole(rooms(FILES)).branches == 18 / 20


def test_who_decides_comes_first_and_has_a_sum_of_its_own() -> None:
    assert shown(is_whole=True) == ["limiter", "store", "**what decides**", "aws", "**all**"]
    assert "| **what decides** | 50 | 94.0% | 20 | 90.0% |" in table(rooms(FILES), is_whole=True)


def test_of_a_part_of_the_tests_only_what_decides_is_told() -> None:
    assert shown(is_whole=False) == ["limiter", "store", "**what decides**"]


def shown(is_whole: bool) -> list[str]:
    return [line.split(" | ")[0].removeprefix("| ") for line in table(rooms(FILES), is_whole).splitlines()[2:]]


def test_branches_that_nobody_took_are_named_where_it_is_decided() -> None:
    assert missing(FILES) == "- limiter.py: 7→end\n- store/sqlite/rows.py: 3→5"
