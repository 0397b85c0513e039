"""What `/openapi.json` tells of each call: its name, answers, examples and errors. Data only: openapi.py reads it."""

from streamlimit.web.contract import console, edges, operator, service, viewer
from streamlimit.web.contract.operation import Body, Operation, Says

__all__ = ["OPERATIONS", "Body", "Operation", "Says"]

OPERATIONS: dict[str, Operation] = {
    **viewer.OPERATIONS,
    **operator.OPERATIONS,
    **console.OPERATIONS,
    **edges.OPERATIONS,
    **service.OPERATIONS,
}
"""By method and path, as in rights.py. Every call that is served is here."""
