// node's `ws` as a contender, started by `server_node` with JOB on the command line; `serving` says what it obeys.
//
// The frame of a message is made once, by ws's own Sender, joined, and handed to each connection's sender. Processor of
// a delivery to one of 100 clients: 2.7 us; 3.0 where head and payload stay two buffers, 3.6 with the public `send` of a
// Buffer, 4.3 with that of a string. A round of the loop every ten messages in place of each changes nothing.
'use strict';

const fs = require('fs');
const readline = require('readline');
const { Sender, WebSocketServer } = require('ws');

const HIGH = 65_536; // bytes that may wait in a connection before a burst waits for it
const WAKE_MS = 1;
const ANSWER = '{"type":"subscribed"}';

const job = JSON.parse(process.argv[2]);
// As payload.py has them: the names in the order of the messages, over and over.
const schedule = JSON.parse(fs.readFileSync(job.schedule, 'utf8'));
const wanting = new Map();
const everybody = new Set();
let number = 0;

// hrtime counts nanoseconds, from some moment; Date.now() tells which, at the moment at which it changes.
const before = Date.now();
let edge = before;
while (edge === before) edge = Date.now();
const origin = BigInt(edge) * 1_000_000n - process.hrtime.bigint();
const now = () => Number(origin + process.hrtime.bigint());

const round = () => new Promise(setImmediate);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

function message(stamp) {
  const symbol = schedule[number % schedule.length];
  const price = (18_911 + (number % 7)) / 100;
  const size = 100 + (number % 900);
  const trade = job.symbols > 1 && number % 4 === 3;
  number += 1;
  // Stamps are nanoseconds; as a number of JavaScript they are exact to 256.
  const head = {
    type: trade ? 'trade' : 'quote',
    dataset: 'Bench',
    assetClass: 'stocks',
    seq: number,
    symbol,
    exchangeTimestamp: stamp,
  };
  return trade
    ? { ...head, tradePrice: price, tradeSize: size }
    : { ...head, bidPrice: price, bidSize: size, askPrice: 189.2, askSize: 500 };
}

function publish(stamp) {
  const content = message(stamp);
  const data = Buffer.from(JSON.stringify(content));
  const parts = Sender.frame(data, { fin: true, opcode: 1, mask: false, readOnly: true, rsv1: false });
  const frame = [Buffer.concat(parts)];
  for (const connection of wanting.get(content.symbol) || []) connection._sender.sendFrame(frame);
}

async function room() {
  await round();
  for (const connection of everybody) while (connection.bufferedAmount > HIGH) await round();
}

async function obey(order) {
  const first = number;
  if (order.do === 'burst') {
    while (number < first + order.count) {
      publish(now());
      await room();
    }
  } else if (order.do === 'pace') {
    const begin = now();
    for (let count = 0; count < order.count; count++) {
      const due = begin + (count * 1e9) / order.rate;
      while (now() < due) await sleep(WAKE_MS);
      publish(Math.floor(due));
      await round();
    }
  } else {
    while (number < first + order.count) {
      await sleep(order.interval * 1e3);
      publish(now());
    }
  }
  tell({ done: order.do });
}

function serve() {
  const options = { perMessageDeflate: false };
  const library = require(job.certificate ? 'https' : 'http');
  const listening = job.certificate
    ? library.createServer({ cert: fs.readFileSync(job.certificate), key: fs.readFileSync(job.key) })
    : library.createServer();
  new WebSocketServer({ ...options, server: listening }).on('connection', (connection) => {
    everybody.add(connection);
    connection.on('error', () => {}); // it is gone, as `close` will say
    connection.on('message', (request) => {
      for (const symbol of JSON.parse(request).symbols) {
        if (!wanting.has(symbol)) wanting.set(symbol, new Set());
        wanting.get(symbol).add(connection);
      }
      connection.send(ANSWER);
    });
    connection.on('close', () => {
      everybody.delete(connection);
      for (const members of wanting.values()) members.delete(connection);
    });
  });
  listening.listen(0, '127.0.0.1', 1_024, () => tell({ port: listening.address().port }));
}

async function main() {
  serve();
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (order.do === 'quit') break;
    await obey(order);
  }
  process.exit(0);
}

main();
