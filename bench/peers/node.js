// Node's own http and one Redis script a request, over one connection a process: what is asked in one turn of the loop
// leaves in one packet, and the answers come in order. Lighter than the usual Fastify and ioredis.
//
// What it does: at most three sessions a user, checked and taken in one atomic script (script.py); a session that is
// silent for 180 s loses its seat. Tuned: connections are kept, EVALSHA, one process a core, no log.
// What it lacks: whoever asks holds a seat, whether or not a byte arrived; nobody is told of an expiry; no answer says
// who holds the seats, and nobody can free one; every heartbeat and every refusal costs Redis a script; it ends when
// the connection to Redis does; a restarted Redis has lost the script; one server, no cluster; ids are taken as they come.
//
// BENCH_STORE=redis://127.0.0.1:6379 BENCH_SCRIPT='…' node node.js PORT [WORKERS]
"use strict";
const cluster = require("node:cluster");
const http = require("node:http");
const net = require("node:net");

const [port, workers = "1"] = process.argv.slice(2);

function connect({ hostname, port }) {
  const store = net.connect(Number(port), hostname);
  store.setNoDelay(true);
  store.on("close", () => process.exit(1));
  const waiting = []; // resolvers, in the order of the questions
  let rest = "";
  let corked = false;

  store.on("data", (data) => {
    rest += data.toString("latin1");
    let at = 0;
    for (;;) {
      const end = rest.indexOf("\r\n", at);
      if (end < 0) break;
      let line = rest.slice(at, end);
      let next = end + 2;
      if (line[0] === "$") { // only SCRIPT LOAD answers with text
        const size = Number(line.slice(1));
        if (rest.length < next + size + 2) break;
        line = rest.slice(next, next + size);
        next += size + 2;
      }
      at = next;
      waiting.shift()(line);
    }
    rest = rest.slice(at);
  });

  return function ask(...words) {
    let text = `*${words.length}\r\n`;
    for (const word of words) text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
    if (!corked) {
      corked = true;
      store.cork();
      setImmediate(() => { corked = false; store.uncork(); });
    }
    store.write(text);
    return new Promise((resolve) => waiting.push(resolve));
  };
}

async function serve() {
  const ask = connect(new URL(process.env.BENCH_STORE));
  const sha = await ask("SCRIPT", "LOAD", process.env.BENCH_SCRIPT);
  const server = http.createServer((request, response) => {
    let text = "";
    request.on("data", (part) => { text += part; });
    request.on("end", async () => {
      const { user_id: user, session_id: session } = JSON.parse(text);
      const live = Number((await ask("EVALSHA", sha, "1", user, session, String(Date.now() / 1000))).slice(1));
      const body = live < 0 ? '{"detail":"too many"}' : `{"live_sessions":${live}}`;
      response.writeHead(live < 0 ? 409 : 200, { "content-type": "application/json", "content-length": body.length });
      response.end(body);
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(Number(port), "127.0.0.1");
}

if (Number(workers) > 1 && cluster.isPrimary) for (let n = 0; n < Number(workers); n++) cluster.fork();
else serve();
