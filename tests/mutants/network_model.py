"""What the model of workers, memory and a failing network must notice."""

from tests.mutants.mutant import Mutant

MODEL = ("tests/model/test_model.py",)

MUTANTS = [
    Mutant(
        "a worker's memory outlives the store's word",
        "streamlimit/cache/session_cache.py",
        "if now >= at + life / 1_000 + self._extra:",
        "if now >= at + life / 500 + self._extra:",
        MODEL,
    ),
    Mutant(
        "a receipt that the store was not there for is dropped",
        "streamlimit/cache/receipts.py",
        "        self.kept.keep(receipt, at)\n",
        "",
        MODEL,
    ),
    Mutant(
        "an answer that makes one that is there already is lost",
        "streamlimit/store/deferred.py",
        "        if self._is_inside:\n            call(*answer)\n            return\n",
        "",
        ("tests/store/test_deferred.py",),
    ),
]
