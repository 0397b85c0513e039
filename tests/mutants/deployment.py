"""Breakages of what is installed and deployed."""

from tests.mutants.mutant import Mutant

FILES, WHEEL = "streamlimit/cli/deploy_files.py", ("tests/test_wheel.py",)
TRACES, TRACED = "streamlimit/bootstrap/traces.py", ("tests/test_traces.py",)

MUTANTS = [
    Mutant("a file of the operator's is written over", FILES, "if target.exists():", "if False:", WHEEL),
    Mutant("an installed package has no deploy files", FILES, 'package / "deploy", ', "", WHEEL),
    Mutant(
        "spans are named by paths", TRACES, 'f"{request.method} {route}"', 'f"{request.method} {request.path}"', TRACED
    ),
    Mutant("a span has no parent", TRACES, 'request.header(b"traceparent") or ""', '""', TRACED),
]
