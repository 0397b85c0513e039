-- Asks streamlimit's /edge/auth about one request, and leaves what it says in variables of the transaction.
--
-- http-request lua.streamlimit: sets
--   txn.sl_answer   yes | no | down
--   txn.sl_keep     true where the yes may be kept
--   txn.sl_code, txn.sl_problem, txn.sl_retry   of a no
--
-- The httpclient of HAProxy 2.6 tries a request four times, whatever is configured: a stopped streamlimit costs a
-- request that has to ask about four times TIMEOUT_MS before it gets that answer.

local URL = "http://127.0.0.1:8080/edge/auth"
local TIMEOUT_MS = 500

local function first(headers, name)
    local values = headers and headers[name]
    return values and values[0] or ""
end

local function streamlimit(txn)
    -- Nothing of the viewer's own headers goes along: who could add one could answer for another viewer.
    local answer = core.httpclient():get{
        url = URL,
        headers = {
            ["host"] = { "streamlimit" },
            ["x-original-uri"] = { txn.sf:url() },
            ["x-original-method"] = { txn.sf:method() },
            ["x-forwarded-for"] = { txn.sf:src() },
        },
        timeout = TIMEOUT_MS,
    }
    local status = answer and answer.status or 0
    if status == 200 then
        txn:set_var("txn.sl_answer", "yes")
        txn:set_var("txn.sl_keep", first(answer.headers, "cache-control"):find("max-age", 1, true) ~= nil)
    elseif status == 401 or status == 403 then
        txn:set_var("txn.sl_answer", "no")
        txn:set_var("txn.sl_code", first(answer.headers, "streamlimit-code"))
        txn:set_var("txn.sl_problem", first(answer.headers, "streamlimit-problem"))
        txn:set_var("txn.sl_retry", first(answer.headers, "retry-after"))
    else
        txn:set_var("txn.sl_answer", "down")
    end
end

core.register_action("streamlimit", { "http-req" }, streamlimit, 0)
