-- streamlimit with admissions cached in nginx, for deploy/nginx-lua.conf: an admitted session needs no further call, and
-- deliveries are reported in batches. Debian's libnginx-mod-http-lua with lua-cjson, or OpenResty. docs/how-to/edges.md
-- compares it with the other recipes.

local cjson = require "cjson.safe"
local lrucache = require "resty.lrucache"

local HOST, PORT = "127.0.0.1", 8080
local SITTING_SECONDS = 60 -- how long an admitted session goes on while streamlimit is down
local BATCH, MOST = 1000, 20000
local EVERY_SECONDS, TIMEOUT_MS = 0.5, 2000
local AGAIN_SECONDS = 3 -- the least time between two reports of a session; edge_cache_seconds where that is less
local AHEAD_SECONDS = 1 -- how long before it expires an admission is renewed; a third of its time where that is less

-- Of all workers: admitted sessions, with the end of their time; those that go on while streamlimit is down.
local known, sitting = ngx.shared.sl_known, ngx.shared.sl_sitting
-- Of this worker: the same, as a faster cache; sessions that were reported just now; reports that wait.
local near, reported = lrucache.new(MOST), lrucache.new(MOST)
local waiting, count = {}, 0
local renditions = lrucache.new(MOST) -- a cache of the renditions of files

local STATUS = {
    ["session-limit"] = 409, ["session-shared"] = 409, ["session-terminated"] = 410,
    ["too-many-requests"] = 429, ["too-many-visits"] = 429, ["store-unavailable"] = 503,
}
local DOWN = '{"type":"/problems/store-unavailable","title":"The store does not answer","status":503,'
    .. '"code":"store-unavailable"}'

local M = {}

local function problem(status, text, retry, code)
    ngx.status = status
    ngx.header["Content-Type"] = "application/problem+json"
    ngx.header["Cache-Control"] = "no-store"
    ngx.header["Access-Control-Allow-Origin"] = "*"
    ngx.header["Streamlimit-Code"] = code
    ngx.header["Retry-After"] = retry
    ngx.print(text)
    return ngx.exit(status)
end

-- A subrequest's headers have the letters that they came with.
local function headers_of(answer)
    local found = {}
    for name, value in pairs(answer.header) do
        found[string.lower(name)] = value
    end
    return found
end

-- streamlimit says for how long a yes counts: not at all for a newcomer, or a playlist.
local function keep(key, control)
    local seconds = tonumber(string.match(control or "", "max%-age=(%d+)")) or 0
    if seconds > 0 then
        known:set(key, ngx.now() + seconds, seconds)
        near:set(key, seconds, seconds)
        sitting:set(key, true, SITTING_SECONDS)
    end
end

local function is_known(key)
    if near:get(key) then
        return true
    end
    local left = (known:get(key) or 0) - ngx.now()
    if left > 0 then
        near:set(key, left, left)
    end
    return left > 0
end

-- May this request be answered? Refuses it itself.
function M.access()
    local v = ngx.var
    -- The whole identity, grant with its play and stream, and nothing that says which segment. Both are of the path as
    -- nginx itself reads it, for that is what it hands out.
    local key = v.grant .. "/" .. v.stream
    if is_known(key) then
        return
    end
    -- An ordinary location asks: it keeps connections, and hands on none of the viewer's headers.
    local answer = ngx.location.capture("/_streamlimit")
    local headers = headers_of(answer)
    if answer.status == 200 and not answer.truncated then
        return keep(key, headers["cache-control"])
    end
    if answer.status == 401 or answer.status == 403 then
        local code = headers["streamlimit-code"] or ""
        if code ~= "store-unavailable" then
            sitting:delete(key)
        end
        return problem(STATUS[code] or 403, answer.body, headers["retry-after"], code)
    end
    if not sitting:get(key) then
        return problem(503, DOWN, "2", "store-unavailable")
    end
end

-- The file without its number, the last run of digits before its suffix.
local function rendition_of(file)
    local found = renditions:get(file)
    if not found then
        found = string.gsub(file, "%d+(%D*%.?%w*)$", "%1", 1)
        renditions:set(file, found)
    end
    return found
end

-- The log phase: notes what became of a segment, in this worker's memory, which costs least. It may not wait, nor open a
-- socket: the timer does, and writes the JSON.
function M.delivered()
    local status = ngx.status
    if (status ~= 200 and status ~= 206) or ngx.req.get_method() ~= "GET" then
        return
    end
    local v = ngx.var
    local file = v.file or ""
    if file == "" or file:sub(-5) == ".m3u8" or file:sub(-4) == ".mpd" then
        return
    end
    local sent, announced = tonumber(v.body_bytes_sent) or 0, tonumber(v.sent_http_content_length)
    -- `OK` alone is said of an upstream's short answer, too.
    local complete = v.request_completion == "OK" and (announced == nil or sent >= announced)
    -- One of each rendition of a session: what was handed out last speaks for what was before it.
    local session = v.grant .. "/" .. v.stream
    local key = session .. "/" .. rendition_of(file)
    local one = waiting[key]
    if one == nil then
        if count >= MOST then
            return
        end
        one, count = { session = session }, count + 1
        waiting[key] = one
    elseif one.complete and not complete then
        return
    end
    one.file, one.complete, one.at, one.status, one.bytes = file, complete, ngx.now(), status, sent
    one.address = v.remote_addr
end

-- The path of what was handed out, not as the viewer spelled it: a byte that is no UTF-8 would make a whole batch malformed.
local function path_of(each)
    local path = each.session .. "/" .. each.file
    return "/play/" .. string.gsub(path, "[^%w._~/-]", function(byte) return string.format("%%%02X", byte:byte()) end)
end

-- The timer's own calls of streamlimit: status, body and headers of the answer; nil where there is none.
local function call(head, body)
    local line = ngx.socket.tcp()
    line:settimeouts(300, TIMEOUT_MS, TIMEOUT_MS)
    if not line:connect(HOST, PORT) then
        return nil
    end
    local sent = line:send(head .. "\r\nHost: streamlimit\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body)
    local first = sent and line:receive("*l")
    local status = first and tonumber(string.match(first, "^HTTP/%d%.%d (%d%d%d)"))
    local headers = {}
    while status do
        local header = line:receive("*l")
        if not header then
            return nil
        end
        if header == "" then
            break
        end
        local name, value = string.match(header, "^([^:]+):%s*(.*)$")
        headers[string.lower(name or "")] = value
    end
    local answer = status and line:receive(tonumber(headers["content-length"]) or 0)
    if not answer then
        line:close()
        return nil
    end
    line:setkeepalive(60000, 1)
    return status, answer, headers
end

local function post(reports)
    return call("POST /edge/reports HTTP/1.1\r\nContent-Type: application/json", reports)
end

-- Sessions that play and whose yes goes stale before long: of each its newest segment.
local function stale_soon()
    local found, now = {}, ngx.now()
    for _, each in pairs(waiting) do
        local seconds = near:get(each.session) or 0
        local left = each.complete and seconds > 0 and (known:get(each.session) or 0) - now or 0
        if left > 0 and left < math.min(AHEAD_SECONDS, seconds / 3) then
            found[each.session] = each
        end
    end
    return found
end

-- Asks for those in the name of that segment: so no viewer who plays waits for an answer. By HEAD, a look, which gives
-- nobody a seat: a session may have ended since. A streamlimit that is down is asked once; who is refused asks for itself,
-- and is told why.
local function ask_ahead()
    for session, each in pairs(stale_soon()) do
        local status, _, headers = call("GET /edge/auth HTTP/1.1\r\nX-Original-Method: HEAD\r\nX-Original-URI: "
            .. path_of(each) .. "\r\nX-Forwarded-For: " .. each.address, "")
        if status == 200 then
            keep(session, headers["cache-control"])
        elseif status == 401 or status == 403 then
            near:delete(session)
            known:delete(session)
        else
            return
        end
    end
end

-- Who holds no seat any more is asked for again.
local function forget(gone, batch)
    local is_gone = {}
    for _, grant in ipairs(gone) do
        is_gone[grant] = true
    end
    for _, each in pairs(batch) do
        if is_gone[string.match(each.session, "^[^/]+")] then
            near:delete(each.session)
            known:delete(each.session)
            sitting:delete(each.session)
        end
    end
end

-- Takes a batch of due reports from those that wait. New sessions and aborts are due at once; a session that plays is
-- reported now and then, by its newest segment. All are due where the worker ends.
local function due(ends)
    local batch, size = {}, 0
    for key, each in pairs(waiting) do
        local later = each.complete and not ends and near:get(each.session) and reported:get(each.session)
        if size < BATCH and not later then
            batch[key], size = each, size + 1
        end
    end
    for key in pairs(batch) do
        waiting[key] = nil
    end
    count = count - size
    return batch, size
end

-- The batch as JSON, in the order of time, which a table does not keep: the last report is the session's position.
local function text_of(batch)
    local reports = {}
    for _, each in pairs(batch) do
        reports[#reports + 1] = {
            path = path_of(each), complete = each.complete, at = each.at, status = each.status, bytes = each.bytes,
        }
    end
    table.sort(reports, function(a, b) return a.at < b.at end)
    return cjson.encode(reports)
end

-- Puts unsent reports back, with their times in `at`; newer ones of the same rendition replace them.
local function put_back(batch)
    for key, each in pairs(batch) do
        if waiting[key] == nil and count < MOST and each.at > ngx.now() - SITTING_SECONDS then
            waiting[key], count = each, count + 1
        end
    end
end

local function report(ends)
    local batch, size = due(ends)
    if size == 0 then
        return
    end
    local status, answer = post(text_of(batch))
    if status == nil or status >= 500 then
        return put_back(batch)
    end
    for _, each in pairs(batch) do
        local seconds = near:get(each.session)
        if seconds then
            reported:set(each.session, true, math.min(seconds, AGAIN_SECONDS))
        end
    end
    local found = status == 200 and cjson.decode(answer)
    forget(found and found.gone or {}, batch)
end

-- The timer of one worker, for its own deliveries. A round of renewals that takes long is not started again meanwhile.
local asks = false
local function tick(ends)
    if not asks and not ends then
        asks = true
        local ok, why = pcall(ask_ahead)
        asks = false
        if not ok then
            ngx.log(ngx.ERR, why)
        end
    end
    report(ends)
end

function M.init_worker()
    assert(ngx.timer.every(EVERY_SECONDS, tick))
end

return M
