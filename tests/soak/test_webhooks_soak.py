"""2,000 sessions under the faults of tests/webhooks/test_faults.py, on a file and on a cluster."""

from functools import partial
from pathlib import Path

import pytest

from tests import servers
from tests.webhooks.test_faults import open_sqlite, open_valkey, run_with_faults

USERS = 500


@pytest.mark.soak
def test_2000_sessions_on_sqlite_lose_no_webhook(tmp_path: Path) -> None:
    run_with_faults(partial(open_sqlite, str(tmp_path / "streamlimit.db")), USERS)


@pytest.mark.soak
def test_2000_sessions_on_a_cluster_lose_no_webhook() -> None:
    with servers.cluster("valkey") as cluster:
        run_with_faults(partial(open_valkey, cluster.url, "test"), USERS)
