# Varnish asks streamlimit for every request, then begins anew with the file, which all viewers share in its cache.
# docs/how-to/edges.md compares it with the other recipes. Try it: varnishd -C -f /path/to/this/file
#
# In streamlimit.toml:
#   ledger_streams = "any"
#   trusted_proxies = ["127.0.0.1"]
#
# No yes is kept, so a termination bites at the next segment, and the request for the following segment tells that the
# one before was received. Varnish's log cannot tell an aborted segment from one that arrived: do not report from it.
vcl 4.1;

backend streamlimit {
    .host = "127.0.0.1";
    .port = "8080";
    .connect_timeout = 1s;
    .first_byte_timeout = 2s;
}

# The files: /<stream_id>/<file>.
backend origin {
    .host = "127.0.0.1";
    .port = "9000";
}

sub vcl_recv {
    if (req.restarts == 0) {
        # streamlimit's own calls for viewers, what players report (CMCD); nothing else of /edge/, since Varnish is in
        # trusted_proxies.
        if (req.url ~ "^/v1/" || req.url ~ "^/edge/cmcd/[A-Za-z0-9._~-]+$") {
            set req.backend_hint = streamlimit;
            return (pass);
        }
        if (req.url !~ "^/play/[^/]+/[^/]+/.") {
            return (synth(404));
        }
        if (req.method != "GET" && req.method != "HEAD") {
            return (synth(405));
        }
        # Said by Varnish, over whatever the viewer sent.
        set req.http.X-Original-URI = req.url;
        set req.http.X-Original-Method = req.method;
        unset req.http.X-Forwarded-Uri;
        unset req.http.X-Forwarded-Method;
        # Put aside, and only where there is one: an empty Range would be a 416.
        unset req.http.X-Range;
        if (req.http.Range) {
            set req.http.X-Range = req.http.Range;
            unset req.http.Range;
        }
        set req.url = "/edge/auth";
        set req.backend_hint = streamlimit;
        return (pass);
    }

    # streamlimit has said yes. Without the grant the file is the same for everybody.
    set req.url = regsub(req.http.X-Original-URI, "^/play/[^/]+/", "/");
    # What a player says of itself (CMCD) is no other file.
    set req.url = regsub(regsuball(req.url, "([?&])CMCD=[^&]*(&|$)", "\1"), "[?&]+$", "");
    unset req.http.X-Original-URI;
    unset req.http.X-Original-Method;
    unset req.http.Cookie;
    unset req.http.Authorization;
    if (req.http.X-Range) {
        set req.http.Range = req.http.X-Range;
        unset req.http.X-Range;
    }
    set req.backend_hint = origin;
    return (hash);
}

sub vcl_deliver {
    if (req.restarts == 0 && req.url == "/edge/auth") {
        if (resp.status == 200) {
            return (restart);
        }
        # The refusal's own status.
        if (resp.http.Streamlimit-Code ~ "^session-(limit|shared)$") {
            set resp.status = 409;
        } elseif (resp.http.Streamlimit-Code == "session-terminated") {
            set resp.status = 410;
        } elseif (resp.http.Streamlimit-Code ~ "^too-many-") {
            set resp.status = 429;
        }
    }
    # A page of another origin may play; who may, streamlimit says. Of a 503, too: a player that may not see the status
    # does not try again. streamlimit's own answers keep what cors_origins says.
    if (req.restarts > 0 || (resp.status >= 500 && !resp.http.Access-Control-Allow-Origin)) {
        set resp.http.Access-Control-Allow-Origin = "*";
    }
}

sub vcl_synth {
    set resp.http.Access-Control-Allow-Origin = "*";
}
