"""Processes of tests that use our modules, forked from one that has imported them: Python takes a second to do so."""

import multiprocessing

FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["tests.store.writers", "tests.webhooks.crew", "streamlimit.store.valkey"])
