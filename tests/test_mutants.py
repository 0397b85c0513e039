"""The list of breakages in mutants.py has not rotted. `make mutants` runs them."""

import pytest

from tests.mutants import MUTANTS, ROOT, Mutant, broken


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_what_a_mutant_breaks_is_there_exactly_once(mutant: Mutant) -> None:
    text = broken(mutant)
    if mutant.file.endswith(".py"):
        compile(text, mutant.file, "exec")


def test_mutants_have_names_of_their_own_and_tests_that_exist() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
    for mutant in MUTANTS:
        assert (ROOT / mutant.tests[0]).exists()
