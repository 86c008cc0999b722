// The official SDKs, each behind the same few verbs, so that every test can be written once.
//
// A client has: wire, make({base, key}) -> a session with
//   ask({model, user, stream, reasoning, image, system})  -> Answer
//   talk({model, user, stream, tools, run})               -> {calls: [[{name, args}], ...] one list a round, answer}
//   broken({model})      sends what no provider takes: a result of a tool that was never called
//   models()             -> ids
//   count(model, user)   -> tokens, where the SDK has it       embed(model, texts) -> vectors, where the SDK has it
// and errors: {rate, missing, bad, denied, any}: the SDK's own classes or a check of one.
// Answer: {text, reasoning, stop, pieces: how many deltas of text came, input, cached, output: counts as the SDK shows them, without the cached in the input}
import { createRequire } from "node:module";

const require = createRequire(process.env.NIGHTMILL_SDKS + "/");
const { OpenAI } = require("openai");
const { Anthropic } = require("@anthropic-ai/sdk");
const { GoogleGenAI, ApiError } = require("@google/genai");

const ROUNDS = 6; // more than any test asks for: an endless loop of calls fails instead

async function rounds(run, step) {
  const calls = [];
  for (let round = 0; round < ROUNDS; round++) {
    const { answer, called } = await step();
    if (called.length === 0) return { calls, answer };
    calls.push(called.map(({ name, args }) => ({ name, args })));
    for (const call of called) call.give(await run(call.name, call.args));
  }
  throw new Error("the calls do not end");
}

const chat = {
  title: "openai chat completions",
  wire: "chat",
  errors: {
    rate: OpenAI.RateLimitError, missing: OpenAI.NotFoundError, bad: OpenAI.BadRequestError, denied: OpenAI.AuthenticationError, any: OpenAI.APIError,
  },
  make({ base, key }) {
    const client = new OpenAI({ baseURL: base + "/v1", apiKey: key, maxRetries: 0, timeout: 30000 });
    async function finish(request, stream) {
      let completion, pieces = 0, reasoning = "";
      if (stream) {
        const events = client.chat.completions.stream({ ...request, stream_options: { include_usage: true } });
        for await (const chunk of events) {
          pieces += chunk.choices[0]?.delta.content ? 1 : 0;
          reasoning += chunk.choices[0]?.delta.reasoning_content ?? "";
        }
        completion = await events.finalChatCompletion();
      } else {
        completion = await client.chat.completions.create(request);
        reasoning = completion.choices[0].message.reasoning_content ?? "";
      }
      const { message, finish_reason } = completion.choices[0];
      const cached = completion.usage?.prompt_tokens_details?.cached_tokens ?? 0;
      return {
        message,
        answer: {
          text: message.content ?? "", reasoning, pieces, stop: { stop: "end", tool_calls: "tools", length: "length" }[finish_reason],
          input: completion.usage?.prompt_tokens - cached, cached, output: completion.usage?.completion_tokens,
        },
      };
    }
    const content = (user, image) => (image ? [{ type: "text", text: user }, { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } }] : user);
    return {
      client,
      async ask({ model, user, stream, reasoning, image, system, cap }) {
        const messages = [...(system ? [{ role: "system", content: system }] : []), { role: "user", content: content(user, image) }];
        const request = { model, messages, ...(cap ? { max_completion_tokens: cap } : {}), ...(reasoning ? { reasoning_effort: "medium" } : {}) };
        return (await finish(request, stream)).answer;
      },
      talk({ model, user, stream, tools, run }) {
        const messages = [{ role: "user", content: user }];
        const offered = tools.map((t) => ({ type: "function", function: t }));
        return rounds(run, async () => {
          const { message, answer } = await finish({ model, messages, tools: offered }, stream);
          messages.push({ role: "assistant", content: message.content, tool_calls: message.tool_calls });
          const called = (message.tool_calls ?? []).map((c) => ({
            name: c.function.name, args: JSON.parse(c.function.arguments), give: (result) => messages.push({ role: "tool", tool_call_id: c.id, content: result }),
          }));
          return { answer, called };
        });
      },
      broken: ({ model }) => client.chat.completions.create({ model, messages: [{ role: "user", content: "hello" }, { role: "tool", tool_call_id: "call_never", content: "5" }] }),
      models: async () => (await client.models.list()).data.map((m) => m.id),
      embed: async (model, texts) => (await client.embeddings.create({ model, input: texts })).data.map((d) => d.embedding),
    };
  },
};

const responses = {
  title: "openai responses",
  wire: "responses",
  errors: { ...chat.errors, any: (error) => error instanceof OpenAI.APIError || error.type === "error" || error.failed === true }, // the SDK hands the event itself on, or an answer that failed
  make({ base, key }) {
    const client = new OpenAI({ baseURL: base + "/v1", apiKey: key, maxRetries: 0, timeout: 30000 });
    async function finish(request, stream) {
      let response, pieces = 0;
      if (stream) {
        const events = client.responses.stream(request);
        for await (const event of events) pieces += event.type === "response.output_text.delta" ? 1 : 0;
        response = await events.finalResponse();
      } else {
        response = await client.responses.create(request);
      }
      if (response.status === "failed") throw Object.assign(new Error(response.error.message), { failed: true });
      const cached = response.usage?.input_tokens_details?.cached_tokens ?? 0;
      const calls = response.output.filter((item) => item.type === "function_call");
      const reasoning = response.output.filter((item) => item.type === "reasoning").flatMap((item) => item.summary).map((part) => part.text).join("");
      const stop = response.status === "incomplete" ? { max_output_tokens: "length" }[response.incomplete_details.reason] : calls.length ? "tools" : "end";
      return {
        response, calls,
        answer: { text: response.output_text, reasoning, pieces, stop, input: response.usage?.input_tokens - cached, cached, output: response.usage?.output_tokens },
      };
    }
    const content = (user, image) => [{ type: "input_text", text: user }, ...(image ? [{ type: "input_image", detail: "auto", image_url: `data:image/png;base64,${image}` }] : [])];
    return {
      client,
      async ask({ model, user, stream, reasoning, image, system, cap }) {
        const request = {
          model, input: image ? [{ role: "user", content: content(user, image) }] : user, ...(system ? { instructions: system } : {}), ...(cap ? { max_output_tokens: cap } : {}),
          ...(reasoning ? { reasoning: { effort: "medium", summary: "auto" } } : {}),
        };
        return (await finish(request, stream)).answer;
      },
      talk({ model, user, stream, tools, run }) {
        const input = [{ role: "user", content: user }];
        const offered = tools.map((t) => ({ type: "function", strict: false, ...t }));
        return rounds(run, async () => {
          const { response, calls, answer } = await finish({ model, input, tools: offered, store: false }, stream);
          input.push(...response.output.map(({ parsed_arguments, ...item }) => item)); // the SDK's own addition
          const called = calls.map((c) => ({
            name: c.name, args: JSON.parse(c.arguments), give: (result) => input.push({ type: "function_call_output", call_id: c.call_id, output: result }),
          }));
          return { answer, called };
        });
      },
      broken: ({ model }) => client.responses.create({ model, input: [{ role: "user", content: "hello" }, { type: "function_call_output", call_id: "call_never", output: "5" }] }),
    };
  },
};

const messages = {
  title: "anthropic messages",
  wire: "messages",
  errors: {
    rate: Anthropic.RateLimitError, missing: Anthropic.NotFoundError, bad: Anthropic.BadRequestError, denied: Anthropic.AuthenticationError, any: Anthropic.APIError,
  },
  make({ base, key }) {
    const client = new Anthropic({ baseURL: base, apiKey: key, maxRetries: 0, timeout: 30000 });
    async function finish(request, stream) {
      let message, pieces = 0;
      if (stream) {
        const events = client.messages.stream(request);
        for await (const event of events) pieces += event.type === "content_block_delta" && event.delta.type === "text_delta" ? 1 : 0;
        message = await events.finalMessage();
      } else {
        message = await client.messages.create(request);
      }
      const of = (type) => message.content.filter((block) => block.type === type);
      return {
        message, calls: of("tool_use"),
        answer: {
          text: of("text").map((b) => b.text).join(""), reasoning: of("thinking").map((b) => b.thinking).join(""), pieces,
          stop: { end_turn: "end", tool_use: "tools", max_tokens: "length" }[message.stop_reason],
          input: message.usage.input_tokens, cached: message.usage.cache_read_input_tokens ?? 0, output: message.usage.output_tokens,
        },
      };
    }
    const content = (user, image) => (image ? [{ type: "text", text: user }, { type: "image", source: { type: "base64", media_type: "image/png", data: image } }] : user);
    return {
      client,
      async ask({ model, user, stream, reasoning, image, system, cap }) {
        const request = {
          model, max_tokens: cap ?? 4096, messages: [{ role: "user", content: content(user, image) }], ...(system ? { system } : {}),
          ...(reasoning ? { thinking: { type: "enabled", budget_tokens: 1024 } } : {}),
        };
        return (await finish(request, stream)).answer;
      },
      talk({ model, user, stream, tools, run }) {
        const said = [{ role: "user", content: user }];
        const offered = tools.map(({ name, description, parameters }) => ({ name, description, input_schema: parameters }));
        return rounds(run, async () => {
          const { message, calls, answer } = await finish({ model, max_tokens: 4096, messages: said, tools: offered }, stream);
          said.push({ role: "assistant", content: message.content });
          const results = [];
          if (calls.length) said.push({ role: "user", content: results });
          return { answer, called: calls.map((c) => ({ name: c.name, args: c.input, give: (result) => results.push({ type: "tool_result", tool_use_id: c.id, content: result }) })) };
        });
      },
      broken: ({ model }) => client.messages.create({ model, max_tokens: 100, messages: [{ role: "user", content: [{ type: "tool_result", tool_use_id: "toolu_never", content: "5" }] }] }),
      models: async () => (await client.models.list()).data.map((m) => m.id),
      count: async (model, user) => (await client.messages.countTokens({ model, messages: [{ role: "user", content: user }] })).input_tokens,
    };
  },
};

const status = (wanted) => (error) => error instanceof ApiError && error.status === wanted;
const gemini = {
  title: "google genai",
  wire: "gemini",
  errors: { rate: status(429), missing: status(404), bad: status(400), denied: status(401), any: ApiError },
  make({ base, key }) {
    const client = new GoogleGenAI({ apiKey: key, vertexai: false, httpOptions: { baseUrl: base, timeout: 30000 } });
    async function finish(request, stream) {
      const chunks = [];
      if (stream) for await (const chunk of await client.models.generateContentStream(request)) chunks.push(chunk);
      else chunks.push(await client.models.generateContent(request));
      const parts = chunks.flatMap((c) => c.candidates?.[0]?.content?.parts ?? []);
      const texts = (thought) => parts.filter((p) => p.text && !p.thought === !thought).map((p) => p.text);
      const usage = chunks.map((c) => c.usageMetadata).filter(Boolean).at(-1) ?? {};
      const calls = parts.filter((p) => p.functionCall);
      const reason = chunks.map((c) => c.candidates?.[0]?.finishReason).filter(Boolean).at(-1);
      const cached = usage.cachedContentTokenCount ?? 0;
      return {
        parts, calls,
        answer: {
          text: texts(false).join(""), reasoning: texts(true).join(""), pieces: texts(false).length, stop: calls.length ? "tools" : { STOP: "end", MAX_TOKENS: "length" }[reason],
          input: usage.promptTokenCount - cached, cached, output: (usage.candidatesTokenCount ?? 0) + (usage.thoughtsTokenCount ?? 0),
        },
      };
    }
    return {
      client,
      async ask({ model, user, stream, reasoning, image, system, cap }) {
        const parts = [{ text: user }, ...(image ? [{ inlineData: { mimeType: "image/png", data: image } }] : [])];
        const config = {
          ...(system ? { systemInstruction: system } : {}), ...(cap ? { maxOutputTokens: cap } : {}),
          ...(reasoning ? { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } : {}),
        };
        return (await finish({ model, contents: [{ role: "user", parts }], config }, stream)).answer;
      },
      talk({ model, user, stream, tools, run }) {
        const contents = [{ role: "user", parts: [{ text: user }] }];
        const functionDeclarations = tools.map(({ name, description, parameters }) => ({ name, description, parametersJsonSchema: parameters }));
        return rounds(run, async () => {
          const { parts, calls, answer } = await finish({ model, contents, config: { tools: [{ functionDeclarations }] } }, stream);
          contents.push({ role: "model", parts });
          const results = [];
          if (calls.length) contents.push({ role: "user", parts: results });
          const give = (c) => (result) => results.push({ functionResponse: { ...(c.id ? { id: c.id } : {}), name: c.name, response: { output: result } } });
          return { answer, called: calls.map(({ functionCall: c }) => ({ name: c.name, args: c.args, give: give(c) })) };
        });
      },
      broken: ({ model }) => client.models.generateContent({ model, contents: [{ role: "user", parts: [{ functionResponse: { name: "never", response: { output: "5" } } }] }] }),
      async models() {
        const ids = [];
        for await (const m of await client.models.list()) ids.push(m.name.replace(/^models\//, ""));
        return ids;
      },
      count: async (model, user) => (await client.models.countTokens({ model, contents: user })).totalTokens,
    };
  },
};

export const clients = [chat, responses, messages, gemini];
