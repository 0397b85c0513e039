"""The fault run of the call backs on a real cluster: within the suite one of four runs did not end in time."""

from functools import partial

import pytest

from tests import servers
from tests.callbacks.test_faults import open_valkey, run_with_faults


@pytest.mark.soak
@pytest.mark.parametrize("time", range(5))
def test_2000_sessions_on_a_cluster_lose_no_call_back(time: int) -> None:
    with servers.cluster("valkey") as cluster:
        run_with_faults(partial(open_valkey, cluster.url))
