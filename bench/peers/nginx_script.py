"""A common self-made limit in nginx: Lua that calls one Redis script a request, on a kept connection."""

from pathlib import Path

from bench.peers.script import loaded

BARE = """
worker_processes 1;
events {{ worker_connections 16384; }}
http {{
    types {{ video/mp2t ts; }}
    default_type application/octet-stream;
    access_log off;
    error_log /dev/null crit;
    sendfile on;
    gzip off;
    server {{
        listen 127.0.0.1:{port} {listens};
        location / {{ root {root}; {access} }}
    }}
}}
"""

_ACCESS = """
access_by_lua_block {{
    local line = ngx.socket.tcp()
    line:settimeout(1000)
    assert(line:connect("127.0.0.1", {store}))
    local user, session, now = ngx.var.arg_u, "s", tostring(ngx.now())
    local function word(text) return "$" .. #text .. "\\r\\n" .. text .. "\\r\\n" end
    local words = word("EVALSHA") .. word(sha) .. word("1") .. word(user) .. word(session) .. word(now)
    assert(line:send("*6\\r\\n" .. words))
    local answer = assert(line:receive("*l"))
    line:setkeepalive(60000, 64)
    if answer:sub(1, 1) ~= ":" or tonumber(answer:sub(2)) < 0 then return ngx.exit(409) end
}}
"""

_LOAD = """
load_module modules/ndk_http_module.so;
load_module modules/ngx_http_lua_module.so;
"""


def peer_config(port: int, root: Path, store: int) -> str:
    """The configuration; the script is loaded into the store here."""
    sha = loaded(store)
    text = BARE.format(port=port, listens="", root=root, access=_ACCESS.format(store=store))
    return _LOAD + text.replace("http {", f'http {{\n    init_by_lua_block {{ sha = "{sha}" }}', 1)
