"""What a run has to say: its summary, and the report of a failed one with the story of each path that is wrong."""

import json
import os

import state
from check import CHECKS
from history import ACKED, REFUSED, UNKNOWN, UNSENT

# Around which a story is told.
BEFORE_SECONDS, MOST_LINES, MOST_STORIES = 20.0, 150, 5


def summary(run):
    history, counts = run.history, run.history.counts()
    changes = list(history.changes.values())
    puts = sum(change.kind == "PUT" for change in changes)
    broken = sum(change.mode == "abort" and change.state == REFUSED for change in changes)
    faults = ", ".join(f"{kind} {count}" for kind, count in sorted(run.injector.counts.items())) or "none"
    reads = history.reads
    rows = [
        ("seed", f"{run.plan.seed}: {run.plan.seconds:g} s, {len(run.plan.parents)} nodes"),
        ("changes", f"{len(changes)}: {puts} PUT, {len(changes) - puts} DELETE"),
        ("answers", f"{counts[ACKED]} acknowledged, {counts[REFUSED] - broken} refused, {broken} broken off by the "
                    f"client, {counts[UNSENT]} not sent, {counts[UNKNOWN]} without an answer"),
        ("reads", f"{reads['whole']} checked, {reads['absent']} of nothing, {reads['cut short']} cut short, "
                  f"{reads['failed']} failed"),
        ("faults", f"{sum(run.injector.counts.values())}: {faults}"),
        ("drain", f"{run.drain.at_start} entries in {run.drain.seconds:.1f} s"),
        *(("left out", note) for note in run.tree.notes),
    ]
    failed = {check: [each for each in history.problems if each.check == check] for check in CHECKS}
    for check, problems in failed.items():
        if problems:
            rows.append(("FAILED" if check else "", f"{check}: {len(problems)} times: {CHECKS[check]}"))
    rows.append(("result", "FAILED" if history.problems else "passed" if run.check.done else "not checked to the end"))
    return "\n".join(f"  {name:<10} {text}" for name, text in rows)


def write(run, path):
    """The report of a failed run."""
    with open(path, "w", encoding="utf-8") as out:
        out.write(f"Chaos run {run.plan.seed}\n\n{summary(run)}\n\nAgain: {run.again()}\n\nWhat failed\n\n")
        problems = sorted(run.history.problems, key=lambda each: each.at)
        for problem in problems[:300]:
            where = " ".join(filter(None, (problem.node, problem.path)))
            out.write(f"  [{problem.check}] {problem.at:.2f} s {where}: {problem.what}\n")
        paths = list(dict.fromkeys(problem.path for problem in problems if problem.path))
        for wrong in paths[:MOST_STORIES]:
            out.write(f"\n\nThe story of {wrong}\n\n")
            out.write("\n".join(story(run, wrong, problems)) + "\n")
        if len(paths) > MOST_STORIES:
            out.write(f"\nFurther paths, whose story is in history.jsonl: {' '.join(paths[MOST_STORIES:])}\n")


def story(run, path, problems):
    """Changes, versions on the disks and faults in the order of time, up to the first problem of the path or the end
    of its changes; then what the logs of the nodes say."""
    changes = [change for change in run.history.changes.values() if change.path == path]
    last = max((change.end for change in changes), default=0)
    first = min(problem.at for problem in problems if problem.path == path)
    until = min(first, last) + 3
    since = until - BEFORE_SECONDS
    told = []
    for event in events(run.history):
        at = event["at"]
        if since <= at <= until and (event.get("path") in (path, None)):
            line = sentence(event)
            if line:
                told.append((event.get("start", at), line))
    yield from (f"  {at:9.3f}  {line}" for at, line in sorted(told)[-MOST_LINES:])
    yield ""
    yield "  as it is now:"
    for name, node in run.tree.nodes.items():
        yield f"    {name:<6} {run.check.describe(path, run.check.look(name, path))}"
    for name, node in run.tree.nodes.items():
        left = [line for _, line in state.missing(node) + state.journal(node)]
        for line in [line for line in left if path in line or state.percent(path) in line][:5]:
            yield f"    {name:<6} has open: {line}"
    yield ""
    yield "  the last requests (time, worker, client's port, request, ...):"
    for name, node in run.tree.nodes.items():
        for line in state.mentions(node, f'"{state.percent(path)}"', most=400):
            if " GET " not in line:
                yield f"    {name:<6} {line}"


def sentence(event):
    match event["event"]:
        case "change":
            size = f" {event['size']} bytes ({event['mode']})" if event["kind"] == "PUT" else ""
            answer = " ".join(str(event[key]) for key in ("status", "outcome", "version", "why") if key in event)
            return (f"change {event['number']} at {event['node']}: {event['kind']}{size}, "
                    f"until {event['end']:.3f}: {event['state']}: {answer}")
        case "seen":
            version = f"version {event['version']}" if event["version"] else "absent"
            return f"    {event['node']}: {version}"
        case "fault" | "end of fault" | "kill":
            known = ("event", "at", "kind", "target", "path")
            more = " ".join(f"{key}={value}" for key, value in event.items() if key not in known)
            return f"  * {event['event']}: {event.get('kind', '')} {event.get('target', '')} {more}"
        case "problem":
            return f"  ! {event['check']}: {event['what']}"
        case "phase":
            return f"--- {event['what']}"
    return None


def events(history):
    with history.lock:
        history.out.flush()
    with open(history.out.name, encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def kept(run):
    return "\n".join((
        f"  evidence   {run.dir}",
        "             report.txt first; history.jsonl; of each node nginx.conf, error.log, access.log, disk/",
        f"  again      {run.again()}",
    )) if os.path.isdir(run.dir) else ""
