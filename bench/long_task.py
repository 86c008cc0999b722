"""One task with very many events, written into a stopped server's database: a part of bench_api.py.

It is a copy of the newest task that is done, with iterations as a coding agent makes them (a request, words, a command and its end, again and again), a row of the ledger for each request, and half of all events in the last
iteration, which is the one that the page opens.
"""
import json
import sqlite3

ITERATIONS = 40
TURN = 4  # events
STEP_NS = 700_000_000


def turns(iteration, first, count):
    """The events of `count` turns: (type, actor, data)."""
    for n in range(first, first + count):
        command = f"python3 -m pytest tests/test_part_{n % 97}.py -q"
        yield "model.usage", "system", {"iteration": iteration, "model": "scripted", "model_served": "scripted", "provider": "run", "input": 9000 + n % 4000, "cache_read": 8000, "cache_write": 0, "output": 180, "reasoning": 0,
                                        "cost": "0.0121", "currency": "USD", "total": f"{0.0121 * n:.4f}", "limit": None}
        yield "agent.text", "agent", {"text": f"Step {n}: the tests of part {n % 97} still differ in one place; I look at what it returns and try the boundary next."}
        yield "tool.started", "agent", {"turn": n, "call": 1, "name": "run", "summary": f"run {command}", "digest": f"{n:064x}"}
        yield "tool.finished", "agent", {"turn": n, "call": 1, "name": "run", "summary": f"run {command}", "digest": f"{n:064x}", "exit_code": n % 3 % 2, "is_error": False,
                                         "result": "".join(f"tests/test_part_{n % 97}.py::test_case_{k} {'PASSED' if k % 5 else 'FAILED'}\n" for k in range(6))}


def events_of(iteration, first, count, verdict):
    yield "iteration.started", "system", {"iteration": iteration, "limit": ITERATIONS, "keep_files": True, "prompt": "## Task\nMake all parts pass."}
    yield from turns(iteration, first, count)
    yield "agent.finished", "agent", {"iteration": iteration, "end": "finished", "summary": f"Round {iteration} is done.", "turns": count, "tool_calls": count}
    yield "iteration.committed", "system", {"iteration": iteration, "commit": f"{iteration:040x}", "tree": f"{iteration:040x}", "changed": True, "files": 3, "added": 40, "removed": 12, "notes": ""}
    yield "verdict", "system", {**verdict, "iteration": iteration}
    yield "iteration.finished", "system", {"iteration": iteration, "outcome": "proven" if iteration == ITERATIONS else "red", "words": f"what round {iteration} came to", "feedback": "", "signature": f"s{iteration}", "changed": True,
                                           "engine_ms": 43}


def long_task(data, count, name="vast001"):
    """Returns the id of the new task. count: of its events, a few more or less."""
    database = sqlite3.connect(data / "nightmill.db")
    row = lambda table, where, *values: dict(zip([c[1] for c in database.execute(f"PRAGMA table_info({table})")], database.execute(f"SELECT * FROM {table} WHERE {where}", values).fetchone()))  # noqa: E731
    put = lambda table, values: database.execute(f"INSERT INTO {table} ({','.join(values)}) VALUES ({','.join('?' * len(values))})", list(values.values()))  # noqa: E731
    model = row("task", "number = (SELECT max(t.number) FROM task t JOIN ledger l ON l.task_id = t.id WHERE t.state = 'done')")
    text = row("task_text", "number = ?", model["number"])
    paid = row("ledger", "task_id = ? LIMIT 1", model["id"])
    verdict = json.loads(database.execute("SELECT data FROM event WHERE task_id = ? AND type = 'verdict'", (model["id"],)).fetchone()[0])
    start = database.execute("SELECT time_ns, data FROM event WHERE task_id = ? ORDER BY number LIMIT 1", (model["id"],)).fetchone()
    end = database.execute("SELECT data FROM event WHERE task_id = ? ORDER BY number DESC LIMIT 1", (model["id"],)).fetchone()
    number = database.execute("SELECT max(number) + 1 FROM task").fetchone()[0]
    hold = database.execute("SELECT max(id) + 1 FROM hold").fetchone()[0]
    small = count // 2 // (ITERATIONS - 1) // TURN
    all_events, turn = [("task.created", "user", json.loads(start[1]))], 1
    for iteration in range(1, ITERATIONS + 1):
        several = small if iteration < ITERATIONS else (count - len(all_events)) // TURN - 2
        all_events += events_of(iteration, turn, several, verdict)
        turn += several
    all_events.append(("task.state", "system", json.loads(end[0])))
    put("task", {**model, "number": number, "id": name, "title": "A long one", "iteration": ITERATIONS, "iteration_limit": ITERATIONS, "last_event": len(all_events), "last_origin": 0})
    put("task_text", {**text, "number": number})
    database.executemany("INSERT INTO event (task_id, number, time_ns, type, actor, data, origin) VALUES (?,?,?,?,?,?,0)",
                         ((name, n + 1, start[0] + n * STEP_NS, kind, actor, json.dumps(data)) for n, (kind, actor, data) in enumerate(all_events)))
    iteration = 0
    for n, (kind, _, said) in enumerate(all_events):
        iteration = said["iteration"] if kind == "iteration.started" else iteration
        if kind == "model.usage":
            put("ledger", {**paid, "hold_id": hold, "request_id": f"{name}/i{iteration}.t{n}.a1", "task_id": name, "iteration": iteration, "opened_ns": start[0] + n * STEP_NS, "time_ns": start[0] + n * STEP_NS,
                           "input": said["input"], "output": said["output"], "cost": 12_100_000_000})
            hold += 1
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    (data / "tasks" / name).mkdir(mode=0o700)
    return name
