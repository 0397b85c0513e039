// Node's own http, and the careful peers' script for each request over a connection of its own making: what is asked
// in one turn of the loop leaves in one packet. Lighter than the usual Fastify and ioredis, which would have to be
// installed.
//
// BENCH_STORE=redis://127.0.0.1:6379 BENCH_SCRIPT='…' node node.js PORT
"use strict";
const http = require("node:http");
const net = require("node:net");

const { hostname, port } = new URL(process.env.BENCH_STORE);
const store = net.connect(Number(port), hostname);
store.setNoDelay(true);

const waiting = []; // resolvers, in the order of the questions
let rest = "";
let corked = false;

store.on("data", (data) => {
  rest += data.toString("latin1");
  for (;;) {
    const end = rest.indexOf("\r\n");
    if (end < 0) return;
    let line = rest.slice(0, end);
    let taken = end + 2;
    if (line[0] === "$") { // only SCRIPT LOAD answers with text
      const size = Number(line.slice(1));
      if (rest.length < taken + size + 2) return;
      line = "+" + rest.slice(taken, taken + size);
      taken += size + 2;
    }
    rest = rest.slice(taken);
    waiting.shift()(line);
  }
});

function ask(...words) {
  let text = `*${words.length}\r\n`;
  for (const word of words) text += `$${Buffer.byteLength(word)}\r\n${word}\r\n`;
  if (!corked) {
    corked = true;
    store.cork();
    setImmediate(() => { corked = false; store.uncork(); });
  }
  store.write(text);
  return new Promise((resolve) => waiting.push(resolve));
}

async function main() {
  const sha = (await ask("SCRIPT", "LOAD", process.env.BENCH_SCRIPT)).slice(1);
  const server = http.createServer((request, response) => {
    let text = "";
    request.on("data", (part) => { text += part; });
    request.on("end", async () => {
      const form = JSON.parse(text);
      const answer = await ask("EVALSHA", sha, "1", form.user_id, form.session_id, String(Date.now() / 1000));
      const live = Number(answer.slice(1));
      const body = JSON.stringify(live < 0 ? { detail: "too many" } : { live_sessions: live });
      response.writeHead(live < 0 ? 409 : 200, { "content-type": "application/json", "content-length": body.length });
      response.end(body);
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(Number(process.argv[2]), "127.0.0.1");
}

main();
