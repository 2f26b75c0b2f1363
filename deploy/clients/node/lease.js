// Takes one lease from argospool and prints its URL: node lease.js ADDRESS USERID [SECONDS].
// The proto is read when the program starts; ARGOSPOOL_PROTO names its directory where it is not in the repository.

"use strict";

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const { setTimeout: sleep } = require("node:timers/promises");

const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");
const protobuf = require("protobufjs");

const PROTO = process.env.ARGOSPOOL_PROTO ?? path.join(__dirname, "../../../proto");
const { TokenPoolService } = grpc.loadPackageDefinition(
  loader.loadSync("argospool/v1/token_pool.proto", { includeDirs: [PROTO], keepCase: true }),
).argospool.v1;

// What stands in the trailer of a refusal, as far as it is of use here.
const STATUS = protobuf.parse(`
  syntax = "proto3";
  message Any { string type_url = 1; bytes value = 2; }
  message Status { repeated Any details = 3; }
  message ErrorInfo { string reason = 1; }
  message Delay { int64 seconds = 1; int32 nanos = 2; }
  message RetryInfo { Delay retry_delay = 1; }
`, { keepCase: true }).root;

const LOST = [grpc.status.UNAVAILABLE, grpc.status.UNKNOWN, grpc.status.INTERNAL, grpc.status.CANCELLED];

function connect(address) {
  const options = address.startsWith("unix:") ? { "grpc.default_authority": "localhost" } : {};
  return new TokenPoolService(address, grpc.credentials.createInsecure(), options);
}

// One lease by the deadline, a Date, however often it must be asked for.
async function createLease(client, params, deadline, metadata = new grpc.Metadata()) {
  // Drawn once: the repeat of a call whose answer was lost is given the same lease.
  const request = { request_id: crypto.randomUUID(), params };
  for (let backoff = 100; ; backoff = Math.min(2 * backoff, 2000)) {
    try {
      return await new Promise((resolve, reject) => {
        client.CreateLease(request, metadata, { deadline }, (error, answer) => (error ? reject(error) : resolve(answer.lease)));
      });
    } catch (error) {
      const pause = pauseAfter(error, backoff);
      if (pause === undefined || Date.now() + pause >= deadline.getTime()) throw error;
      await sleep(pause);
    }
  }
}

// Milliseconds until it is worth asking again; undefined if it never is.
function pauseAfter(error, backoff) {
  const { reason, delay } = details(error);
  if (delay !== undefined) return delay;
  const lost = reason === undefined && LOST.includes(error.code);
  return lost || reason === "COMMIT_DOUBTFUL" ? backoff * (0.5 + Math.random() / 2) : undefined;
}

// The reason and the delay that the daemon put into a refusal; undefined for what it did not say.
function details(error) {
  const found = {};
  const [trailer] = error.metadata?.get("grpc-status-details-bin") ?? [];
  for (const { type_url: type, value } of trailer ? STATUS.lookupType("Status").decode(trailer).details : []) {
    if (type.endsWith("google.rpc.ErrorInfo")) {
      found.reason = STATUS.lookupType("ErrorInfo").decode(value).reason;
    } else if (type.endsWith("google.rpc.RetryInfo")) {
      const delay = STATUS.lookupType("RetryInfo").decode(value).retry_delay;
      found.delay = Number(delay?.seconds ?? 0) * 1000 + Math.ceil((delay?.nanos ?? 0) / 1e6);
    }
  }
  return found;
}

async function main(address, userid, seconds = "10") {
  const metadata = new grpc.Metadata();
  const tokenFile = process.env.ARGOSPOOL_TOKEN_FILE;
  if (tokenFile) metadata.set("authorization", `Bearer ${fs.readFileSync(tokenFile, "utf8").trim()}`);
  const client = connect(address);
  try {
    const deadline = new Date(Date.now() + 1000 * Number(seconds));
    console.log((await createLease(client, { userid }, deadline, metadata)).url);
  } catch (error) {
    console.error(`no lease: ${grpc.status[error.code] ?? error.message} ${details(error).reason ?? error.details}`);
    process.exitCode = 1;
  } finally {
    client.close();
  }
}

main(...process.argv.slice(2));
