// Makes one call with the AWS SDK for JavaScript v3 as it comes: endpoint, key and Region from the environment, every
// default left alone. Arguments: the command's name, its input as JSON, and how many seconds the clock is ahead. Prints one
// JSON line:
// {"answer": …, "events": […], "sent": base64} or {"error": {"name", "message", "status", "attempts"}, "events": […]}.
// The only addition is a look at the request body as it leaves, which the caller compares with what arrives.

import * as bedrock from "@aws-sdk/client-bedrock-runtime";
import { setTheClock } from "./clock.mjs";

const [command, json, ahead] = process.argv.slice(2);
const input = JSON.parse(json);
if (Number(ahead)) setTheClock(Number(ahead) * 1000);
const client = new bedrock.BedrockRuntimeClient({});
const events = [];
let sent;

client.middlewareStack.add(
  (next) => (args) => {
    sent = Buffer.from(args.request.body ?? "").toString("base64");
    return next(args);
  },
  { step: "finalizeRequest", name: "lookAtBody" },
);

const printable = (key, value) => (value instanceof Uint8Array ? Buffer.from(value).toString("utf8") : value);
const print = (result) => console.log(JSON.stringify({ ...result, events, sent }, printable));

try {
  const answer = await client.send(new bedrock[command](input));
  for await (const event of answer.stream ?? (answer.body?.[Symbol.asyncIterator] ? answer.body : [])) {
    const decoded = event.chunk ? JSON.parse(Buffer.from(event.chunk.bytes).toString("utf8")) : event;
    events.push(decoded);
  }
  if (answer.body instanceof Uint8Array) {
    answer.body = JSON.parse(Buffer.from(answer.body).toString("utf8"));
  } else {
    delete answer.body;
  }
  delete answer.stream;
  print({ answer });
} catch (error) {
  const { httpStatusCode: status, attempts } = error.$metadata ?? {};
  const typed = typeof bedrock[error.name] === "function" && error instanceof bedrock[error.name];
  print({ error: { name: error.name, message: error.message, status, attempts, typed } });
}
