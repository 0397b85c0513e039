-- streamlimit in nginx's own memory, for deploy/nginx-lua.conf: who was let in is let in without a call, and what was
-- delivered is told in batches. Debian's libnginx-mod-http-lua with lua-cjson, or OpenResty. docs/how-to/edges.md compares
-- it with the other recipes.

local cjson = require "cjson.safe"

local HOST, PORT = "127.0.0.1", 8080
local SITTING_SECONDS = 60 -- how long who was let in goes on while streamlimit is down
local BATCH = 1000
local EVERY_SECONDS, TIMEOUT_MS = 0.5, 2000

local known, sitting, reports = ngx.shared.sl_known, ngx.shared.sl_sitting, ngx.shared.sl_reports

local STATUS = {
    ["session-limit"] = 409, ["session-shared"] = 409, ["session-terminated"] = 410,
    ["too-many-requests"] = 429, ["too-many-visits"] = 429,
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
        known:set(key, true, seconds)
        sitting:set(key, true, SITTING_SECONDS)
    end
end

-- May this request be answered? Refuses it itself.
function M.access()
    local v = ngx.var
    -- The whole identity, grant with its play and stream, and nothing that says which segment. Both are of the path as
    -- nginx itself reads it, for that is what it hands out.
    local key = v.grant .. "/" .. v.stream
    if known:get(key) then
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

-- The log phase: notes what became of a segment. It may not wait, nor open a socket: the timer does.
function M.delivered()
    local v = ngx.var
    if ngx.req.get_method() ~= "GET" or (ngx.status ~= 200 and ngx.status ~= 206) then
        return
    end
    local file = v.file or ""
    if file == "" or file:sub(-5) == ".m3u8" or file:sub(-4) == ".mpd" then
        return
    end
    local sent, told = tonumber(v.body_bytes_sent) or 0, tonumber(v.sent_http_content_length)
    -- `OK` alone is said of an upstream's short answer, too.
    local complete = v.request_completion == "OK" and (told == nil or sent >= told)
    local report = cjson.encode {
        path = v.request_uri, complete = complete, at = ngx.now(), status = ngx.status, bytes = sent,
    }
    -- One of each rendition of a session: what was handed out last speaks for what was before it.
    local key = v.grant .. "/" .. v.stream .. "/" .. string.gsub(file, "%d+(%D*%.?%w*)$", "%1")
    if complete or not reports:get(key) then
        reports:set(key, report, SITTING_SECONDS)
    end
end

local function post(body)
    local line = ngx.socket.tcp()
    line:settimeouts(300, TIMEOUT_MS, TIMEOUT_MS)
    local ok, why = line:connect(HOST, PORT)
    if not ok then
        return nil, why
    end
    ok, why = line:send("POST /edge/reports HTTP/1.1\r\nHost: streamlimit\r\nContent-Type: application/json\r\n"
        .. "Content-Length: " .. #body .. "\r\n\r\n" .. body)
    local first = ok and line:receive("*l")
    local status = first and tonumber(string.match(first, "^HTTP/%d%.%d (%d%d%d)"))
    local length = 0
    while status do
        local header = line:receive("*l")
        if not header then
            return nil, "the answer is cut off"
        end
        if header == "" then
            break
        end
        length = tonumber(string.match(string.lower(header), "^content%-length:%s*(%d+)")) or length
    end
    local answer = status and line:receive(length)
    if not answer then
        line:close()
        return nil, why or "no answer"
    end
    line:setkeepalive(60000, 1)
    return status, answer
end

-- Who holds no seat any more is asked for again.
local function forget(gone, batch)
    local is_gone = {}
    for _, grant in ipairs(gone) do
        is_gone[grant] = true
    end
    for _, each in ipairs(batch) do
        local grant, stream = string.match(each.key, "^([^/]+)/([^/]+)/")
        if is_gone[grant] then
            known:delete(grant .. "/" .. stream)
            sitting:delete(grant .. "/" .. stream)
        end
    end
end

-- What waits, in the order in which it happened, which a dictionary does not keep: the last one says where the session is.
local function waiting()
    local batch = {}
    for _, key in ipairs(reports:get_keys(BATCH)) do
        local report = reports:get(key)
        if report then
            local at = tonumber(string.match(report, '"at":([0-9.]+)')) or 0
            batch[#batch + 1] = { key = key, report = report, at = at }
        end
    end
    table.sort(batch, function(a, b) return a.at < b.at end)
    return batch
end

local function report()
    local batch, texts = waiting(), {}
    if #batch == 0 then
        return
    end
    for number, each in ipairs(batch) do
        texts[number] = each.report
    end
    local status, answer = post("[" .. table.concat(texts, ",") .. "]")
    if status == nil or status >= 500 then
        return -- they are told again: `at` says how old they are by then
    end
    for _, each in ipairs(batch) do
        if reports:get(each.key) == each.report then
            reports:delete(each.key)
        end
    end
    local told = status == 200 and cjson.decode(answer)
    forget(told and told.gone or {}, batch)
end

-- One worker's timer.
function M.init_worker()
    if ngx.worker.id() == 0 then
        assert(ngx.timer.every(EVERY_SECONDS, report))
    end
end

return M
