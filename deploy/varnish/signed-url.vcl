# Varnish as the CDN of deliver = "redirect": it takes URLs that streamlimit signed, for as long as they are good.
# docs/how-to/cdn.md. Needs the module digest (Debian: varnish-vmod-digest). Try it: varnishd -C -f /path/to/this/file
#
# In streamlimit.toml (the key is the one below, in Base64: printf %s 'change-me-…' | base64):
#   deliver = "redirect"
#   [cdn]
#   kind = "fastly"
#   url = "https://cdn.example.org/streams"
#   key = "Y2hhbmdlLW1lLXRvLTMyLXJhbmRvbS1jaGFyYWN0ZXJz"
#   lifetime = 30
vcl 4.1;

import digest;
import std;

# The files: /<stream_id>/<file>.
backend origin {
    .host = "127.0.0.1";
    .port = "9000";
}

sub vcl_recv {
    if (req.method != "GET" && req.method != "HEAD") {
        return (synth(405));
    }
    # One parameter and nothing else, so that there is one reading of the URL.
    if (req.url !~ "^/streams/[^?]+\?token=[0-9]{10}_[0-9a-f]{40}$") {
        return (synth(403));
    }
    set req.http.X-Until = regsub(req.url, "^.*\?token=([0-9]{10})_.*$", "\1");
    set req.http.X-Mac = regsub(req.url, "^.*_([0-9a-f]{40})$", "0x\1");
    set req.url = regsub(req.url, "\?.*$", "");
    if (req.http.X-Mac != digest.hmac_sha1("change-me-to-32-random-characters", req.url + req.http.X-Until)) {
        return (synth(403));
    }
    if (std.time(integer = std.integer(req.http.X-Until, 0)) < now) {
        return (synth(403));
    }
    # Without the token the file is the same for everybody, and nothing of a viewer's reaches the origin.
    set req.url = regsub(req.url, "^/streams/", "/");
    unset req.http.X-Until;
    unset req.http.X-Mac;
    unset req.http.Cookie;
    unset req.http.Authorization;
    return (hash);
}

sub vcl_deliver {
    # A page's player was sent here from another origin.
    set resp.http.Access-Control-Allow-Origin = "*";
}

sub vcl_synth {
    set resp.http.Access-Control-Allow-Origin = "*";
    set resp.http.Content-Type = "text/plain";
    set resp.body = resp.reason;
    return (deliver);
}
