# Varnish asks streamlimit for every request, then begins anew with the file, which all viewers share in its cache.
# docs/how-to/edges.md compares it with the other recipes. Try it: varnishd -C -f /path/to/this/file
#
# In streamlimit.toml:
#   ledger_streams = "any"
#   trusted_proxies = ["127.0.0.1"]
#
# It asks anew for each request, so a termination bites at the next segment, and the request for the following segment
# tells that the one before was received. While streamlimit is down who was let in within the last minute goes on (not
# with edge_cache_seconds = 0). Varnish's log cannot tell an aborted segment from one that arrived: do not report from it.
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
        # A kept yes is of the whole identity (grant with its play, stream), and of no segment.
        set req.http.X-Seat = regsub(req.url, "^/play/([^/]+/[^/]+)/.*$", "\1");
        unset req.http.X-Away;
        # The question mark: no file is called so, since it is cut off below.
        set req.url = "/edge/auth?";
        set req.backend_hint = streamlimit;
        # Asked each time, whatever is kept.
        set req.hash_always_miss = true;
        return (hash);
    }

    if (req.http.X-Away) {
        # streamlimit does not answer: a yes of the last minute counts. It says nothing of paths that the origin may read
        # as another stream's.
        if (req.http.X-Original-URI ~ "(?i)(//|\\|#|/\.{1,2}([;/?]|$)|%2e|%2f|%5c|%23|%00)") {
            return (synth(503));
        }
        set req.hash_always_miss = false;
        set req.hash_ignore_busy = true;  # nor waits for another question
        return (hash);
    }

    # streamlimit has said yes. Without the grant the file is the same for everybody.
    set req.url = regsub(req.http.X-Original-URI, "^/play/[^/]+/", "/");
    # What a player says of itself (CMCD) is no other file.
    set req.url = regsub(regsuball(req.url, "([?&])CMCD=[^&]*(&|$)", "\1"), "[?&]+$", "");
    unset req.http.X-Original-URI;
    unset req.http.X-Original-Method;
    unset req.http.X-Seat;
    unset req.http.Cookie;
    unset req.http.Authorization;
    if (req.http.X-Range) {
        set req.http.Range = req.http.X-Range;
        unset req.http.X-Range;
    }
    set req.backend_hint = origin;
    set req.hash_always_miss = false;
    set req.hash_ignore_busy = false;
    return (hash);
}

sub vcl_hash {
    if (req.url == "/edge/auth?") {
        hash_data(req.url);
        hash_data(req.http.X-Seat);
        return (lookup);
    }
}

sub vcl_miss {
    if (req.http.X-Away) {
        return (synth(503));  # it was asked just now
    }
}

sub vcl_backend_response {
    if (bereq.url == "/edge/auth?") {
        if (beresp.status >= 500) {
            return (abandon);
        }
        # Kept for an outage: a yes that may be kept (none for a newcomer or a playlist); and a no to a good grant, so
        # that who was sent away does not come back by an older yes. (Anybody can make up bad ones, and fill the cache.)
        set beresp.ttl = 0s;
        set beresp.grace = 0s;
        set beresp.keep = 0s;
        # The newest answer counts, whatever page asked (cors_origins): a viewer may say any.
        unset beresp.http.Vary;
        if (beresp.http.Cache-Control ~ "max-age"
            || beresp.http.Streamlimit-Code ~ "^(session|too-many)-") {
            set beresp.ttl = 60s;
        }
        return (deliver);
    }
    # Varnish keeps for two minutes what says nothing of itself, a 404, too: who asks for a segment too early would keep it
    # from everybody, and a live playlist would stand still.
    if (beresp.status >= 400 || (bereq.url ~ "\.(m3u8|mpd)(\?|$)" && !beresp.http.Cache-Control && !beresp.http.Expires)) {
        set beresp.ttl = 1s;
        set beresp.grace = 0s;
    }
}

sub vcl_backend_error {
    if (bereq.url == "/edge/auth?") {
        return (abandon);
    }
}

sub vcl_deliver {
    if (req.url == "/edge/auth?") {
        if (resp.status == 200) {
            unset req.http.X-Away;
            return (restart);
        }
        # The refusal's own status.
        if (resp.http.Streamlimit-Code ~ "^session-(limit|shared)$") {
            set resp.status = 409;
        } elseif (resp.http.Streamlimit-Code == "session-terminated") {
            set resp.status = 410;
        } elseif (resp.http.Streamlimit-Code ~ "^too-many-") {
            set resp.status = 429;
        } elseif (resp.http.Streamlimit-Code == "store-unavailable") {
            set resp.status = 503;
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
    if (resp.status == 503 && req.url == "/edge/auth?") {
        if (!req.http.X-Away) {
            set req.http.X-Away = "yes";
            return (restart);
        }
        set resp.http.Content-Type = "application/problem+json";
        set resp.http.Retry-After = "2";
        set resp.http.Cache-Control = "no-store";
        set resp.body = {"{"type":"/problems/store-unavailable","title":"The store does not answer","status":503,"code":"store-unavailable" }"};
        return (deliver);
    }
}
