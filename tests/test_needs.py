"""What a test needs and does not find skips it on a laptop, and fails it in CI: there nothing is left out unnoticed."""

import pytest
from _pytest.outcomes import Failed, Skipped

from tests.needs import needs, needs_file


@pytest.mark.parametrize(("ci", "outcome"), [("", Skipped), ("true", Failed)])
def test_what_is_absent_skips_on_a_laptop_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", ci)
    with pytest.raises(outcome, match="no-such-program"):
        needs("python3", "no-such-program")
    with pytest.raises(outcome, match="apt-get install a-package"):
        needs_file("no/such/file*", "a-package")
    needs("python3")
