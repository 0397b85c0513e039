"""Breakages of what deploy/ ships: what edges do while streamlimit or its store is unavailable."""

from tests.mutants.mutant import Mutant

OUTAGES = ("tests/edge/test_recipes_outages.py", "--timeout=300", "-k")
STARTED_ANEW = (*OUTAGES, "started_anew")
LONG = (*OUTAGES, "without_end or sent_away or odd_path")

MUTANTS = [
    Mutant(
        "Varnish keeps one yes for everybody",
        "../deploy/varnish/streamlimit.vcl",
        "        hash_data(req.http.X-Seat);\n",
        "",
        LONG,
    ),
    Mutant(
        "Varnish's kept yes opens what an odd path leads to",
        "../deploy/varnish/streamlimit.vcl",
        r"|/\.{1,2}([;/?]|$)|",
        "|",
        LONG,
    ),
    Mutant(
        "Varnish keeps no refusal",
        "../deploy/varnish/streamlimit.vcl",
        '\n            || beresp.http.Streamlimit-Code ~ "^(session|too-many)-"',
        "",
        LONG,
    ),
    Mutant(
        "Envoy asks for three viewers at a time",
        "../deploy/envoy/envoy.yaml",
        "max_retries: 16384",
        "max_retries: 3",
        (*OUTAGES, "unasked"),
    ),
    Mutant(
        "Caddy asks once",
        "../deploy/caddy/Caddyfile",
        "\t\t\tlb_try_duration 8s\n",
        "",
        STARTED_ANEW,
    ),
]
