// Every official SDK against a server that speaks its wire: the provider for tests itself, or Nightmill's gateway in front of it.
//
// NIGHTMILL_SDKS           folder with the installed packages
// NIGHTMILL_TEST_UPSTREAM  address of tests/fakes/upstream.py
// NIGHTMILL_TEST_GATEWAY   address of the gateway; empty: each SDK speaks to the provider itself, in its own wire
// NIGHTMILL_TEST_KEY       key for that address
// NIGHTMILL_TEST_TARGETS   JSON {wire of the upstream: {model, reasoning: one that is named as one that reasons, paced: one that pauses between events, limited: a model that answers 429, failing: a model whose streams fail in the middle, missing: one that is not there}}
// NIGHTMILL_TEST_LISTED    a model that the list of models must have
import assert from "node:assert/strict";
import { test } from "node:test";
import { clients } from "./clients.mjs";

const upstream = process.env.NIGHTMILL_TEST_UPSTREAM;
const gateway = process.env.NIGHTMILL_TEST_GATEWAY;
const base = gateway || upstream;
const key = process.env.NIGHTMILL_TEST_KEY;
const targets = JSON.parse(process.env.NIGHTMILL_TEST_TARGETS);
const listed = process.env.NIGHTMILL_TEST_LISTED;
// A transparent pixel.
const PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const TOOLS = [
  {
    name: "weather", description: "The weather of a city.",
    parameters: { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city", "days"], additionalProperties: false },
  },
  {
    name: "clock", description: "The time in a zone.",
    parameters: { type: "object", properties: { zone: { type: "string" }, kinds: { type: "array", items: { type: "string", enum: ["date", "hour"] } } }, required: ["zone"] },
  },
];
const WEATHER = { name: "weather", args: { city: 'city 0 "Zürich" 😀', days: 7 } };
const CLOCK = { name: "clock", args: { zone: 'zone 1 "Zürich" 😀', kinds: ["hour"] } };

// What the provider itself counted for the request that has this word in it.
async function served(word) {
  const { requests } = await (await fetch(`${upstream}/_count`)).json();
  for (const entry of requests.reverse()) {
    const body = await (await fetch(`${upstream}/_body?sequence=${entry.sequence}`)).text();
    if (body.includes(word)) return { ...entry, body };
  }
  throw new Error(`no request with ${word} came`);
}

let words = 0;
const word = () => `word${process.pid}x${words++}`;

for (const client of clients) {
  const session = client.make({ base, key });
  for (const [wire, target] of Object.entries(targets)) {
    if (!gateway && wire !== client.wire) continue;
    const title = gateway ? `${client.title} to ${wire}` : client.title;
    for (const stream of [false, true]) {
      const how = stream ? "streamed" : "plain";
      test(`${title}: ${how}`, async () => {
        const mark = word();
        const answer = await session.ask({ model: stream ? target.paced : target.model, user: `hello, ${mark} Grüße 😀 cached=3`, system: "Be brief.", stream });
        assert.equal(answer.text, `Grüße 😀 You said: hello, ${mark} Grüße 😀 cached=3`);
        assert.equal(answer.stop, "end");
        if (stream) assert.ok(answer.pieces > 1, "the text came in one piece");
        const { usage, body } = await served(mark);
        assert.ok(body.includes("Be brief."), "the system's text did not come");
        assert.deepEqual([answer.input, answer.cached, answer.output], [usage.input, usage.cache_read, usage.output]);
      });
      test(`${title}: ${how}, two parallel calls, then one, then the text`, async () => {
        const results = [];
        const run = (name) => (results.push(`${name} says ${results.length} “sunny” 🌞`), results.at(-1));
        const { calls, answer } = await session.talk({ model: target.model, user: `${word()} rounds=2`, tools: TOOLS, stream, run });
        assert.deepEqual(calls, [[WEATHER, CLOCK], [WEATHER]]);
        assert.equal(answer.text, `Results: ${results[2]}`);
        assert.equal(answer.stop, "end");
      });
      test(`${title}: ${how}, results of parallel calls keep their places`, async () => {
        const run = (name) => `the ${name}`;
        const { calls, answer } = await session.talk({ model: target.model, user: word(), tools: TOOLS, stream, run });
        assert.deepEqual(calls, [[WEATHER, CLOCK]]);
        assert.equal(answer.text, "Results: the weather; the clock");
      });
      test(`${title}: ${how}, the same tool twice in parallel`, async () => {
        let n = 0;
        const { calls, answer } = await session.talk({ model: target.model, user: word(), tools: TOOLS.slice(0, 1), stream, run: () => `result ${n++}` });
        assert.deepEqual(calls, [[WEATHER, { name: "weather", args: { city: 'city 1 "Zürich" 😀', days: 8 } }]]);
        assert.equal(answer.text, "Results: result 0; result 1");
      });
      test(`${title}: ${how}, reasoning`, async () => {
        const answer = await session.ask({ model: target.reasoning, user: word(), reasoning: true, stream });
        // Chat Completions have no wish to read the thoughts, only to have them: Gemini is then not asked to show them.
        assert.equal(answer.reasoning, client.wire === "chat" && wire === "gemini" ? "" : "First I weigh it — then I say it.");
        assert.match(answer.text, /^Grüße 😀 You said: word/);
      });
      test(`${title}: ${how}, the cap of the output ends it`, async () => {
        const answer = await session.ask({ model: target.model, user: `${word()} ${"long ".repeat(40)}`, cap: 20, stream });
        assert.equal(answer.stop, "length");
        assert.equal(answer.output, 20);
      });
      test(`${title}: ${how}, a limit of requests is the SDK's own error`, async () => {
        await assert.rejects(session.ask({ model: target.limited, user: word(), stream }), client.errors.rate);
      });
      test(`${title}: ${how}, an unknown model is the SDK's own error`, async () => {
        await assert.rejects(session.ask({ model: target.missing, user: word(), stream }), client.errors.missing);
      });
    }
    test(`${title}: an image is passed on`, async () => {
      const mark = word();
      const answer = await session.ask({ model: target.model, user: mark, image: PIXEL });
      assert.equal(answer.text, `Grüße 😀 You said: ${mark} Images: 1.`);
      assert.ok((await served(mark)).body.includes(PIXEL));
    });
    test(`${title}: a request that makes no sense is the SDK's own error`, async () => {
      await assert.rejects(session.broken({ model: target.model }), client.errors.bad);
    });
    test(`${title}: a failure in the middle of a stream is an error of the SDK`, async () => {
      await assert.rejects(session.ask({ model: target.failing, user: word(), stream: true }), client.errors.any);
    });
    if (session.count)
      test(`${title}: tokens are counted`, async () => {
        const few = await session.count(target.model, "hello"), many = await session.count(target.model, "hello ".repeat(400));
        assert.ok(few > 0 && many > few + 100, `${few} and ${many}`);
      });
    if (session.embed && ["chat", "gemini"].includes(wire))
      test(`${title}: embeddings`, async () => {
        const vectors = await session.embed(target.model, ["one", "two", "one"]);
        assert.deepEqual(vectors.map((v) => v.length), [8, 8, 8]);
        assert.deepEqual(vectors[0], vectors[2]);
        assert.notDeepEqual(vectors[0], vectors[1]);
      });
  }
  if (session.models)
    test(`${client.title}: the list of models`, async () => {
      assert.ok((await session.models()).includes(listed));
    });
  test(`${client.title}: a wrong key is the SDK's own error`, async () => {
    const stranger = client.make({ base, key: "nobody" });
    await assert.rejects(stranger.ask({ model: Object.values(targets)[0].model, user: "hello" }), client.errors.denied);
  });
}
