"""A small MCP server over standard input and output: one tool, echo, which gives its text back with the variable TOKEN of its environment.

What it is asked for is written into the file that the variable MARK names.
"""
import json
import os
import sys

for line in sys.stdin:
    message = json.loads(line)
    if "id" not in message:
        continue
    method, result = message["method"], {}
    if "MARK" in os.environ:
        with open(os.environ["MARK"], "a", encoding="utf-8") as mark:
            print(method, file=mark)
    if method == "initialize":
        result = {"protocolVersion": message["params"]["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": {"name": "echo", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "echo", "description": "gives a text back", "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}}]}
    elif method == "tools/call":
        text = f"{message['params']['arguments']['text']} {os.environ.get('TOKEN', '-')} {' '.join(sys.argv[1:])}"
        result = {"content": [{"type": "text", "text": text}]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
