"""Breakages of what deploy/ ships: what edges do while streamlimit or its store is unavailable."""

from tests.mutants.mutant import Mutant


def outages(words: str) -> tuple[str, ...]:
    """The tests of outages behind the recipes that *words* pick (as `-k`)."""
    return "tests/edge/test_recipes_outages.py", "--timeout=300", "-k", words


MUTANTS = [
    Mutant(
        "Varnish forgets who holds a seat",
        "../deploy/varnish/streamlimit.vcl",
        "set beresp.ttl = 60s;",
        "set beresp.ttl = 0s;",
        outages("started_anew and varnish"),
    ),
    Mutant(
        "Varnish keeps one yes for everybody",
        "../deploy/varnish/streamlimit.vcl",
        "        hash_data(req.http.X-Seat);\n",
        "",
        outages("without_end and varnish"),
    ),
    Mutant(
        "Varnish's kept yes opens what an odd path leads to",
        "../deploy/varnish/streamlimit.vcl",
        r"|/\.{1,2}([;/?]|$)|",
        "|",
        outages("odd_path"),
    ),
    Mutant(
        "Varnish keeps no refusal",
        "../deploy/varnish/streamlimit.vcl",
        '\n            || beresp.http.Streamlimit-Code ~ "^(session|too-many)-"',
        "",
        outages("sent_away and varnish"),
    ),
    Mutant(
        "Varnish keeps a yes of its own for each page's origin",
        "../deploy/varnish/streamlimit.vcl",
        "        unset beresp.http.Vary;\n",
        "",
        ("tests/edge/test_varnish_cache.py",),
    ),
    Mutant(
        "Varnish takes a file for its question",
        "../deploy/varnish/streamlimit.vcl",
        'if (req.url == "/edge/auth?") {\n        if (resp.status',
        'if (req.url ~ "^/edge/auth") {\n        if (resp.status',
        ("tests/edge/test_varnish_cache.py",),
    ),
    Mutant(
        "Envoy asks for three viewers at a time",
        "../deploy/envoy/envoy.yaml",
        "max_retries: 16384",
        "max_retries: 3",
        outages("unasked and envoy"),
    ),
    Mutant(
        "Envoy asks once",
        "../deploy/envoy/envoy.yaml",
        "num_retries: 100",
        "num_retries: 1",
        outages("started_anew and envoy"),
    ),
    Mutant(
        "Caddy asks once",
        "../deploy/caddy/Caddyfile",
        "\t\t\tlb_try_duration 8s\n",
        "",
        outages("started_anew and caddy"),
    ),
    Mutant(
        "nobody makes the folder of the edges' socket",
        "../deploy/streamlimit.service",
        "RuntimeDirectory=streamlimit\n",
        "",
        ("tests/test_deploy_examples.py", "-k", "socket"),
    ),
    Mutant(
        "Traefik asks once",
        "../deploy/traefik/streamlimit.yml",
        "attempts: 25",
        "attempts: 1",
        outages("started_anew and traefik"),
    ),
    *(
        Mutant(
            f"an unavailable store is a 403 at {name}", f"../deploy/{file}", old, new, outages(f"told_why and {name}")
        )
        for name, file, old, new in (
            ("nginx-auth-request", "nginx-auth-request.conf", "store-unavailable     503;", ""),
            ("nginx-njs", "nginx-njs.js", ", 'store-unavailable': 503", ""),
            ("nginx-lua", "nginx-lua.lua", ', ["store-unavailable"] = 503', ""),
            (
                "haproxy",
                "haproxy/haproxy.cfg",
                "acl is_503 var(txn.sl_code) -m str store-unavailable",
                "acl is_503 always_false",
            ),
            ("caddy", "caddy/Caddyfile", "copy_response 503", "copy_response"),
            ("varnish", "varnish/streamlimit.vcl", "set resp.status = 503;", "set resp.status = 403;"),
        )
    ),
]
