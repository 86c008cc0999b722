"""The wires of model providers as a server sees them: what a request asks for, and the bytes of an answer. Nothing here does input or output.

Chat is OpenAI Chat Completions, responses OpenAI Responses, messages Anthropic Messages, gemini Google generateContent. A wire W has
  check_W(body)        raises Refused for what the real service refuses
  W_events(turn, calls, usage, name, answer_id)   the events of a stream, as text
  W_whole(turn, calls, usage, name, answer_id)    the same answer as one document
  W_usage(usage)       how it counts
turn: {"text", "reasoning", "stop", "chunk"}; calls: [{"id", "name", "arguments": JSON text, "raw": the text may be no JSON}];
usage: disjoint buckets {"input", "cache_read", "cache_write", "cache_write_1h", "output", "reasoning": what of the output}, or None.
"""
import json

CREATED = 1767225600
SIGNATURE = "c2NyaXB0"  # of reasoning; opaque to a client, which sends it back as it is


class Refused(Exception):
    """A request that a real server would refuse: status, type, message, code."""

    def __init__(self, status, kind, message, code=None):
        super().__init__(message)
        self.status, self.kind, self.message, self.code = status, kind, message, code


# --- reading a request --------------------------------------------------------------------------------------------------

def text_of(content):
    if isinstance(content, str):
        return content
    return "\n".join(part.get("text", "") for part in content or [] if isinstance(part, dict) and part.get("type") == "text")


def require(condition, message):
    if not condition:
        raise Refused(400, "invalid_request_error", message)


def check_chat(body):
    """What the real interface demands of a conversation. Returns the call ids of each assistant message, in order."""
    require(isinstance(body.get("messages"), list) and body["messages"], "messages must be a non-empty list")
    turns, open_calls = [], set()
    for m in body["messages"]:
        role = m.get("role")
        require(role in ("system", "developer", "user", "assistant", "tool"), f"unknown role {role!r}")
        if role == "tool":
            require(m.get("tool_call_id") in open_calls, f"tool message without its call: {m.get('tool_call_id')!r}")
            open_calls.discard(m["tool_call_id"])
            continue
        require(not open_calls, f"calls without a result: {sorted(open_calls)}")
        if role == "assistant":
            calls = m.get("tool_calls") or []
            require(calls or text_of(m.get("content")), "assistant message without content and calls")
            for call in calls:
                require(call.get("type") == "function" and isinstance(call["function"].get("arguments"), str), "malformed tool call")
            open_calls = {c["id"] for c in calls}
            turns.append([c["id"] for c in calls])
        else:
            require(m.get("content"), f"empty {role} message")
    require(not open_calls, f"calls without a result: {sorted(open_calls)}")
    require(body["messages"][-1]["role"] != "assistant", "the last message is the assistant's")
    for tool in body.get("tools") or []:
        require(tool.get("type") == "function" and tool["function"].get("name"), "malformed tool")
    return turns


def check_messages(body):
    require(isinstance(body.get("messages"), list) and body["messages"], "messages: at least one message is required")
    require(isinstance(body.get("max_tokens"), int) and body["max_tokens"] > 0, "max_tokens: Field required")
    turns, open_calls, last = [], set(), None
    for m in body["messages"]:
        role = m.get("role")
        require(role in ("user", "assistant"), f"unknown role {role!r}")
        require(role != last, "roles must alternate")
        last = role
        parts = m["content"] if isinstance(m.get("content"), list) else [{"type": "text", "text": m.get("content")}]
        require(parts, "messages: content must not be empty")
        results = {p.get("tool_use_id") for p in parts if p.get("type") == "tool_result"}
        for p in parts:
            require(p.get("type") != "text" or p.get("text"), "text content blocks must be non-empty")
        if role == "user":
            require(results == open_calls, f"tool_use ids without tool_result or the other way round: {sorted(results ^ open_calls)}")
            open_calls = set()
        else:
            uses = [p for p in parts if p.get("type") == "tool_use"]
            for p in uses:
                require(isinstance(p.get("input"), dict), "tool_use.input: must be an object")
            open_calls = {p["id"] for p in uses}
            turns.append([p["id"] for p in uses])
    require(not open_calls, "tool_use ids without tool_result")
    require(body["messages"][0]["role"] == "user", "first message must use the user role")
    require(last == "user", "the last message must be the user's")
    for tool in body.get("tools") or []:
        require(tool.get("name") and isinstance(tool.get("input_schema"), dict), "malformed tool")
    return turns


def check_responses(body):
    items = body.get("input")
    require(isinstance(items, str) and items or isinstance(items, list) and items, "input: a text or a non-empty list is required")
    require(not body.get("previous_response_id"), "previous_response_id: nothing is stored here")
    open_calls = set()
    for item in items if isinstance(items, list) else []:
        kind = item.get("type", "message")
        if kind == "function_call":
            require(item.get("call_id") and item.get("name") and isinstance(item.get("arguments"), str), "malformed function_call")
            open_calls.add(item["call_id"])
        elif kind == "function_call_output":
            require(item.get("call_id") in open_calls, f"No tool call found for function call output with call_id {item.get('call_id')}.")
            require(isinstance(item.get("output"), (str, list)), "function_call_output.output: must be a text or a list")
            open_calls.discard(item["call_id"])
        elif kind == "message":
            require(item.get("role") in ("system", "developer", "user", "assistant"), f"unknown role {item.get('role')!r}")
            kinds = {"output_text", "refusal"} if item["role"] == "assistant" else {"input_text", "input_image", "input_file"}
            require(isinstance(item.get("content"), str) or all(p.get("type") in kinds for p in item.get("content") or [{}]), f"content of a {item['role']} message: {item.get('content')!r}")
        elif kind == "custom_tool_call":
            require(item.get("call_id") and item.get("name") and isinstance(item.get("input"), str), "malformed custom_tool_call")
            open_calls.add(item["call_id"])
        elif kind == "custom_tool_call_output":
            require(item.get("call_id") in open_calls, f"No tool call found for custom tool call output with call_id {item.get('call_id')}.")
            open_calls.discard(item["call_id"])
        else:
            require(kind == "reasoning", f"unknown input item {kind!r}")
    require(not open_calls, f"No tool output found for function call {sorted(open_calls)}.")
    for tool in body.get("tools") or []:
        require(tool.get("type") in ("web_search", "image_generation") or tool.get("type") in ("function", "custom", "namespace") and tool.get("name"), "malformed tool")


def check_gemini(body):
    """Calls and results of Gemini need no ids: results answer the calls of the turn before them, by name and order."""
    require(isinstance(body.get("contents"), list) and body["contents"], "* GenerateContentRequest.contents: contents is not specified")
    open_calls = []
    for content in body["contents"]:
        role, parts = content.get("role", "user"), content.get("parts")
        require(role in ("user", "model"), "Please use a valid role: user, model.")
        require(isinstance(parts, list) and parts, "* GenerateContentRequest.contents.parts: must not be empty")
        # Gemini CLI gives a result again after a resume; one with an id counts once.
        results = list({p["functionResponse"].get("id") or n: p["functionResponse"] for n, p in enumerate(parts) if "functionResponse" in p}.values())
        for result in results:
            require(result.get("name") and isinstance(result.get("response"), dict), "function_response: name and an object as response are required")
        require([r["name"] for r in results] == open_calls or sorted(r["name"] for r in results) == sorted(open_calls),
                "Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.")
        calls = [p["functionCall"] for p in parts if "functionCall" in p]
        for call in calls:
            require(role == "model" and call.get("name") and isinstance(call.get("args", {}), dict), "malformed function_call")
        open_calls = [c["name"] for c in calls]
    require(not open_calls, "the last content has calls without a response")
    for tool in body.get("tools") or []:
        for declared in tool.get("functionDeclarations", []):
            require(declared.get("name"), "function_declarations: name is required")


# --- what a request asks for --------------------------------------------------------------------------------------------

class Asked:
    """A request in words that all wires share."""

    def __init__(self, model, stream, cap, system):
        self.model, self.stream, self.cap, self.system = model, stream, cap, system
        self.texts = [system] if system else []   # everything that is read, for the count of tokens
        self.user = ""        # the last text of the user
        self.tools = []       # [(name, schema)]
        self.forced = None    # "none", "any", or the name of the one tool that must be called
        self.parallel = True
        self.results = []     # texts of the tool results that came last
        self.rounds = 0       # turns of the model that called tools
        self.images = []      # the base64 text or address of each
        self.reasoning = False
        self.with_usage = True   # on a stream
        self.signatures = 0   # opaque bytes of reasoning that came back

    def say(self, role, text):
        if text:
            self.texts.append(text)
            if role == "user":
                self.user = text

    def call(self, calls):
        self.rounds += bool(calls)
        self.results = []
        self.texts += [c for c in calls if c]

    def result(self, text):
        self.results.append(text)
        self.texts.append(text)


def flat(content):
    """All text in a content of any wire."""
    if isinstance(content, str):
        return content
    texts = (p if isinstance(p, str) else p.get("text") for p in content or [])
    return " ".join(t for t in texts if t)


def read_chat(body):
    check_chat(body)
    asked = Asked(body.get("model"), bool(body.get("stream")), body.get("max_completion_tokens") or body.get("max_tokens"), "")
    for m in body["messages"]:
        asked.images += [p["image_url"]["url"].split("base64,")[-1] for p in m.get("content") or [] if isinstance(p, dict) and p.get("type") == "image_url"]
        if m["role"] == "tool":
            asked.result(flat(m.get("content")))
        elif m["role"] == "assistant":
            asked.call([c["function"]["arguments"] for c in m.get("tool_calls") or []])
            asked.say("assistant", flat(m.get("content")))
        else:
            asked.say("user" if m["role"] == "user" else "system", flat(m.get("content")))
            asked.system += "" if m["role"] == "user" else flat(m.get("content"))
    asked.tools = [(t["function"]["name"], t["function"].get("parameters") or {}) for t in body.get("tools") or []]
    choice = body.get("tool_choice")
    asked.forced = choice["function"]["name"] if isinstance(choice, dict) else {"none": "none", "required": "any"}.get(choice)
    asked.parallel = body.get("parallel_tool_calls") is not False
    asked.reasoning = (body.get("reasoning_effort") or "none") not in ("none", "minimal")
    asked.with_usage = bool((body.get("stream_options") or {}).get("include_usage"))
    return asked


def read_responses(body):
    check_responses(body)
    asked = Asked(body.get("model"), bool(body.get("stream")), body.get("max_output_tokens"), body.get("instructions") or "")
    items = body["input"] if isinstance(body["input"], list) else [{"role": "user", "content": body["input"]}]
    called = False
    for item in items:
        kind = item.get("type", "message")
        if kind == "function_call":
            if not called:
                asked.call([])
                asked.rounds += 1
            asked.texts.append(item["arguments"])
        elif kind == "function_call_output":
            asked.result(flat(item["output"]))
        elif kind == "message":
            asked.images += [p["image_url"].split("base64,")[-1] for p in item["content"] if isinstance(p, dict) and p["type"] == "input_image"]
            if item["role"] == "assistant":
                asked.results = []
            asked.say(item["role"], flat(item["content"]))
            asked.system += flat(item["content"]) if item["role"] in ("system", "developer") else ""
        elif kind == "reasoning":
            asked.signatures += bool(item.get("encrypted_content"))
        called = kind == "function_call"
    asked.tools = [(t["name"], t.get("parameters") or {}) for t in body.get("tools") or [] if t["type"] == "function"]
    choice = body.get("tool_choice")
    asked.forced = choice.get("name") if isinstance(choice, dict) else {"none": "none", "required": "any"}.get(choice)
    asked.parallel = body.get("parallel_tool_calls") is not False
    asked.reasoning = ((body.get("reasoning") or {}).get("effort") or "none") not in ("none", "minimal")
    return asked


def read_messages(body, strict=False):
    """The service itself joins neighbours of one role; strict: refuses them, as older servers do."""
    joined, amid = [], []
    for m in body.get("messages") or []:
        if m.get("role") == "system":   # an instruction amid the conversation
            amid.append(flat(m.get("content")))
            continue
        parts = m["content"] if isinstance(m.get("content"), list) else [{"type": "text", "text": m.get("content")}]
        if joined and joined[-1]["role"] == m.get("role") and not strict:
            joined[-1]["content"] = joined[-1]["content"] + parts
        else:
            joined.append({"role": m.get("role"), "content": parts})
    check_messages({**body, "messages": joined})
    asked = Asked(body.get("model"), bool(body.get("stream")), body["max_tokens"], " ".join([flat(body.get("system")), *amid]))
    for m in joined:
        images = [p for p in m["content"] if p.get("type") == "image"]
        asked.images += [p["source"].get("data") or p["source"].get("url") for p in images]
        if m["role"] == "assistant":
            asked.call([json.dumps(p["input"]) for p in m["content"] if p.get("type") == "tool_use"])
            asked.signatures += sum(p.get("signature") == SIGNATURE for p in m["content"] if p.get("type") == "thinking")
        for p in m["content"]:
            if p.get("type") == "tool_result":
                asked.result(flat(p.get("content")))
        asked.say(m["role"], flat([p for p in m["content"] if p.get("type") == "text"]))
    asked.tools = [(t["name"], t["input_schema"]) for t in body.get("tools") or []]
    choice = body.get("tool_choice") or {}
    asked.forced = choice.get("name") if choice.get("type") == "tool" else {"none": "none", "any": "any"}.get(choice.get("type"))
    asked.parallel = not choice.get("disable_parallel_tool_use")
    thinking = body.get("thinking") or {}
    asked.reasoning = thinking.get("type") in ("enabled", "adaptive")
    require(thinking.get("type") != "enabled" or 1024 <= thinking.get("budget_tokens", 0) < asked.cap, "thinking.budget_tokens: at least 1024 and below max_tokens")
    return asked


def read_gemini(body, model, stream):
    check_gemini(body)
    settings = body.get("generationConfig") or {}
    asked = Asked(model, stream, settings.get("maxOutputTokens"), flat((body.get("systemInstruction") or {}).get("parts")))
    for content in body["contents"]:
        parts, role = content["parts"], content.get("role", "user")
        asked.images += [p["inlineData"]["data"] for p in parts if "inlineData" in p] + [p["fileData"]["fileUri"] for p in parts if "fileData" in p]
        if role == "model":
            asked.call([json.dumps(p["functionCall"].get("args", {})) for p in parts if "functionCall" in p])
            asked.signatures += sum(p.get("thoughtSignature") == SIGNATURE for p in parts)
        for p in parts:
            if "functionResponse" in p:
                response = p["functionResponse"]["response"]
                asked.result(next((response[k] for k in ("output", "result", "error") if isinstance(response.get(k), str)), json.dumps(response, ensure_ascii=False)))
        asked.say("assistant" if role == "model" else "user", flat([p for p in parts if "text" in p and not p.get("thought")]))
    for tool in body.get("tools") or []:
        asked.tools += [(d["name"], d.get("parametersJsonSchema") or d.get("parameters") or {}) for d in tool.get("functionDeclarations", [])]
    choice = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    names = choice.get("allowedFunctionNames") or []
    asked.forced = {"NONE": "none", "ANY": names[0] if len(names) == 1 else "any"}.get(choice.get("mode"))
    asked.reasoning = bool((settings.get("thinkingConfig") or {}).get("includeThoughts"))
    return asked


# --- what an answer is --------------------------------------------------------------------------------------------------

def pieces(text, size):
    return [text[i:i + size] for i in range(0, len(text), size)] or ([""] if text == "" else [])


def stop_of(turn, wire):
    stop = turn.get("stop") or ("tools" if turn.get("tools") else "end")
    return {"chat": {"end": "stop", "tools": "tool_calls", "length": "length", "refusal": "content_filter"},
            "messages": {"end": "end_turn", "tools": "tool_use", "length": "max_tokens", "refusal": "refusal"},
            "gemini": {"end": "STOP", "tools": "STOP", "length": "MAX_TOKENS", "refusal": "SAFETY"},
            "responses": {"end": None, "tools": None, "length": "max_output_tokens", "refusal": "content_filter"}}[wire].get(stop, stop)


def chat_usage(u):
    prompt = u["input"] + u["cache_read"] + u["cache_write"] + u["cache_write_1h"]
    return {"prompt_tokens": prompt, "completion_tokens": u["output"], "total_tokens": prompt + u["output"],
            "prompt_tokens_details": {"cached_tokens": u["cache_read"]}, "completion_tokens_details": {"reasoning_tokens": u["reasoning"]}}


def messages_usage(u):
    return {"input_tokens": u["input"], "cache_read_input_tokens": u["cache_read"],
            "cache_creation_input_tokens": u["cache_write"] + u["cache_write_1h"],
            "cache_creation": {"ephemeral_5m_input_tokens": u["cache_write"], "ephemeral_1h_input_tokens": u["cache_write_1h"]},
            "output_tokens": u["output"]}


def chat_events(turn, calls, usage, name, answer_id, with_usage):
    size = turn.get("chunk", 24)
    base = {"id": answer_id, "object": "chat.completion.chunk", "created": CREATED, "model": name}

    def chunk(delta, finish=None):
        event = {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}
        if with_usage:
            event["usage"] = None
        return "data: " + json.dumps(event, ensure_ascii=False) + "\n\n"

    yield chunk({"role": "assistant", "content": ""})
    for piece in pieces(turn["reasoning"], size) if turn.get("reasoning") else []:
        yield chunk({"reasoning_content": piece})
    for piece in pieces(turn["text"], size) if turn.get("text") else []:
        yield chunk({"content": piece})
    for n, call in enumerate(calls):
        yield chunk({"tool_calls": [{"index": n, "id": call["id"], "type": "function", "function": {"name": call["name"], "arguments": ""}}]})
        for piece in pieces(call["arguments"], size):
            yield chunk({"tool_calls": [{"index": n, "function": {"arguments": piece}}]})
    yield chunk({}, stop_of(turn, "chat"))
    if with_usage and usage:
        yield "data: " + json.dumps({**base, "choices": [], "usage": chat_usage(usage)}) + "\n\n"
    yield "data: [DONE]\n\n"


def chat_whole(turn, calls, usage, name, answer_id):
    message = {"role": "assistant", "content": turn.get("text")}
    if turn.get("reasoning"):
        message["reasoning_content"] = turn["reasoning"]
    if calls:
        message["tool_calls"] = [{"id": c["id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}} for c in calls]
    answer = {"id": answer_id, "object": "chat.completion", "created": CREATED, "model": name,
              "choices": [{"index": 0, "message": message, "finish_reason": stop_of(turn, "chat")}]}
    return {**answer, "usage": chat_usage(usage)} if usage else answer


def messages_events(turn, calls, usage, name, answer_id):
    size = turn.get("chunk", 24)

    def event(kind, **fields):
        return f"event: {kind}\ndata: " + json.dumps({"type": kind, **fields}, ensure_ascii=False) + "\n\n"

    # The output count of message_start is a placeholder, as from the real service; message_delta has the true one.
    start = {**messages_usage(usage), "output_tokens": 1} if usage else {}
    yield event("message_start", message={"id": answer_id, "type": "message", "role": "assistant", "model": name, "content": [],
                                          "stop_reason": None, "stop_sequence": None, **({"usage": start} if usage else {})})
    index = 0
    if turn.get("reasoning"):
        yield event("content_block_start", index=index, content_block={"type": "thinking", "thinking": "", "signature": ""})
        for piece in pieces(turn["reasoning"], size):
            yield event("content_block_delta", index=index, delta={"type": "thinking_delta", "thinking": piece})
        yield event("content_block_delta", index=index, delta={"type": "signature_delta", "signature": SIGNATURE})
        yield event("content_block_stop", index=index)
        index += 1
    yield event("ping")
    if turn.get("text"):
        yield event("content_block_start", index=index, content_block={"type": "text", "text": ""})
        for piece in pieces(turn["text"], size):
            yield event("content_block_delta", index=index, delta={"type": "text_delta", "text": piece})
        yield event("content_block_stop", index=index)
        index += 1
    for call in calls:
        yield event("content_block_start", index=index, content_block={"type": "tool_use", "id": call["id"], "name": call["name"], "input": {}})
        for piece in pieces(call["arguments"], size):
            yield event("content_block_delta", index=index, delta={"type": "input_json_delta", "partial_json": piece})
        yield event("content_block_stop", index=index)
        index += 1
    delta = {"delta": {"stop_reason": stop_of(turn, "messages"), "stop_sequence": None}}
    if usage:
        delta["usage"] = {"output_tokens": usage["output"]}
    yield event("message_delta", **delta)
    yield event("message_stop")


def messages_whole(turn, calls, usage, name, answer_id):
    content = []
    if turn.get("reasoning"):
        content.append({"type": "thinking", "thinking": turn["reasoning"], "signature": SIGNATURE})
    if turn.get("text"):
        content.append({"type": "text", "text": turn["text"]})
    for c in calls:
        content.append({"type": "tool_use", "id": c["id"], "name": c["name"], "input": {} if c["raw"] else json.loads(c["arguments"])})
    answer = {"id": answer_id, "type": "message", "role": "assistant", "model": name, "content": content,
              "stop_reason": stop_of(turn, "messages"), "stop_sequence": None}
    return {**answer, "usage": messages_usage(usage)} if usage else answer


def responses_usage(u):
    prompt = u["input"] + u["cache_read"] + u["cache_write"] + u["cache_write_1h"]
    return {"input_tokens": prompt, "input_tokens_details": {"cached_tokens": u["cache_read"]}, "output_tokens": u["output"],
            "output_tokens_details": {"reasoning_tokens": u["reasoning"]}, "total_tokens": prompt + u["output"]}


def responses_output(turn, calls, answer_id):
    """The items of the output, each finished."""
    items = []
    if turn.get("reasoning"):
        items.append({"type": "reasoning", "id": f"rs_{answer_id}", "summary": [{"type": "summary_text", "text": turn["reasoning"]}], "encrypted_content": SIGNATURE})
    if turn.get("text"):
        items.append({"type": "message", "id": f"msg_{answer_id}", "status": "completed", "role": "assistant",
                      "content": [{"type": "output_text", "text": turn["text"], "annotations": [], "logprobs": []}]})
    for n, c in enumerate(calls):
        items.append({"type": "function_call", "id": f"fc_{answer_id}_{n}", "call_id": c["id"], "name": c["name"], "arguments": c["arguments"], "status": "completed"})
    return items


def responses_whole(turn, calls, usage, name, answer_id):
    reason = stop_of(turn, "responses")
    return {"id": f"resp_{answer_id}", "object": "response", "created_at": CREATED, "status": "incomplete" if reason else "completed", "background": False, "error": None,
            "incomplete_details": {"reason": reason} if reason else None, "instructions": None, "max_output_tokens": None, "model": name,
            "output": responses_output(turn, calls, answer_id), "parallel_tool_calls": True, "previous_response_id": None, "reasoning": {"effort": None, "summary": None},
            "store": False, "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
            "usage": responses_usage(usage) if usage else None, "user": None, "metadata": {}}


def responses_events(turn, calls, usage, name, answer_id):
    whole = responses_whole(turn, calls, usage, name, answer_id)
    size, number = turn.get("chunk", 24), 0

    def event(kind, **fields):
        nonlocal number
        number += 1
        return f"event: {kind}\ndata: " + json.dumps({"type": kind, "sequence_number": number - 1, **fields}, ensure_ascii=False) + "\n\n"

    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    yield event("response.created", response=begun)
    yield event("response.in_progress", response=begun)
    for index, item in enumerate(whole["output"]):
        at = {"output_index": index, "item_id": item["id"]}
        if item["type"] == "reasoning":
            yield event("response.output_item.added", output_index=index, item={**item, "summary": [], "encrypted_content": ""})
            at["summary_index"] = 0
            yield event("response.reasoning_summary_part.added", **at, part={"type": "summary_text", "text": ""})
            for piece in pieces(turn["reasoning"], size):
                yield event("response.reasoning_summary_text.delta", **at, delta=piece)
            yield event("response.reasoning_summary_text.done", **at, text=turn["reasoning"])
            yield event("response.reasoning_summary_part.done", **at, part=item["summary"][0])
        elif item["type"] == "message":
            yield event("response.output_item.added", output_index=index, item={**item, "status": "in_progress", "content": []})
            at["content_index"] = 0
            yield event("response.content_part.added", **at, part={**item["content"][0], "text": ""})
            for piece in pieces(turn["text"], size):
                yield event("response.output_text.delta", **at, delta=piece, logprobs=[])
            yield event("response.output_text.done", **at, text=turn["text"], logprobs=[])
            yield event("response.content_part.done", **at, part=item["content"][0])
        else:
            yield event("response.output_item.added", output_index=index, item={**item, "status": "in_progress", "arguments": ""})
            for piece in pieces(item["arguments"], size):
                yield event("response.function_call_arguments.delta", **at, delta=piece)
            yield event("response.function_call_arguments.done", **at, name=item["name"], arguments=item["arguments"])
        yield event("response.output_item.done", output_index=index, item=item)
    yield event("response." + whole["status"], response=whole)


def gemini_usage(u):
    prompt = u["input"] + u["cache_read"] + u["cache_write"] + u["cache_write_1h"]
    return {"promptTokenCount": prompt, "candidatesTokenCount": u["output"] - u["reasoning"], "totalTokenCount": prompt + u["output"],
            **({"cachedContentTokenCount": u["cache_read"]} if u["cache_read"] else {}), **({"thoughtsTokenCount": u["reasoning"]} if u["reasoning"] else {})}


def gemini_document(parts, stop, usage, name, answer_id):
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **({"finishReason": stop} if stop else {})}
    return {"candidates": [candidate], **({"usageMetadata": gemini_usage(usage)} if usage else {}), "modelVersion": name, "responseId": answer_id}


def gemini_calls(calls):
    """Whole, without ids, the first with the signature of the thoughts that led to it."""
    return [{"functionCall": {"name": c["name"], "args": {} if c["raw"] else json.loads(c["arguments"])}, **({} if n else {"thoughtSignature": SIGNATURE})} for n, c in enumerate(calls)]


def gemini_whole(turn, calls, usage, name, answer_id):
    parts = [{"text": turn["reasoning"], "thought": True}] if turn.get("reasoning") else []
    parts += [{"text": turn["text"]}] if turn.get("text") else []
    return gemini_document(parts + gemini_calls(calls), stop_of(turn, "gemini"), usage, name, answer_id)


def gemini_events(turn, calls, usage, name, answer_id):
    """Documents, not events yet: they travel as server-sent events or as one array. The counts on all but the last are of what was said so far."""
    size = turn.get("chunk", 24)
    told = {**usage, "output": 0, "reasoning": 0} if usage else None
    for piece in pieces(turn["reasoning"], size) if turn.get("reasoning") else []:
        yield gemini_document([{"text": piece, "thought": True}], None, told, name, answer_id)
    for piece in pieces(turn["text"], size) if turn.get("text") else []:
        yield gemini_document([{"text": piece}], None, told, name, answer_id)
    yield gemini_document(gemini_calls(calls) or [{"text": ""}], stop_of(turn, "gemini"), usage, name, answer_id)


# --- errors -------------------------------------------------------------------------------------------------------------

GOOGLE_STATUS = {400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"}


def error_document(wire, status, kind, message, code=None, details=None):
    if wire == "messages":
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_script"}
    if wire == "gemini":
        return {"error": {"code": status, "message": message, "status": GOOGLE_STATUS.get(status, "UNKNOWN"), **({"details": details} if details else {})}}
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}
