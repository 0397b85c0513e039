"""Breakages of what `/openapi.json` and `/problems/…` tell of the calls."""

from tests.mutants.mutant import Mutant

CONTRACT = ("tests/web/test_contract.py",)
SCHEMAS, OPENAPI = "streamlimit/web/contract/schemas.py", "streamlimit/web/openapi.py"
PAGES, DOCUMENT = "streamlimit/web/problem_pages.py", "streamlimit/document.py"

MUTANTS = [
    Mutant("members of a problem are not in its schema", SCHEMAS, '**own["properties"],', "", CONTRACT),
    Mutant(
        "a status of two codes has the schema of one",
        SCHEMAS,
        'schemas[0] if len(schemas) == 1 else {"anyOf": schemas}',
        "schemas[0]",
        CONTRACT,
    ),
    Mutant("answers have no examples", OPENAPI, "if says.example is None", "if True", CONTRACT),
    Mutant("a session tells less than its schema", DOCUMENT, '"plan": session.plan,', "", CONTRACT),
    Mutant("the explanation is a page for everyone", PAGES, "if kind in JSON_KINDS:", "if False:", CONTRACT),
    Mutant("any word is an error code", PAGES, "if code not in EXPLAINED:", "if False:", CONTRACT),
]
