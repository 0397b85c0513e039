"""The description of each call in `/openapi.json`: name, answers, examples and errors. Data only, for openapi.py."""

from streamlimit.web.contract import edges, operator, service, viewer
from streamlimit.web.contract.operation import Body, Operation, Says

__all__ = ["OPERATIONS", "Body", "Operation", "Says"]

OPERATIONS: dict[str, Operation] = {
    **viewer.OPERATIONS,
    **operator.OPERATIONS,
    **edges.OPERATIONS,
    **service.OPERATIONS,
}
"""The descriptions of all calls, by method and path as in rights.py."""
