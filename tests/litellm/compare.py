"""Asks LiteLLM and Easel the same and compares: see run.sh. Must not end a process that it did not start."""

import argparse
import base64
import json
import os
import pathlib
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import yaml

from servers import KEY, Servers, ask

HERE = pathlib.Path(__file__).parent
TABLE = HERE.parent / "fixtures" / "from-litellm.yaml"


def leaves(body):
    """The members of upstream bodies that both sides mean alike, under one name each."""
    flat = {}
    for name, value in (body or {}).items():
        flat.update(value if isinstance(value, dict) else {name: value})
    # What stands for its absence.
    flat.setdefault("numberOfImages", 1)
    if "prompt" in flat:
        flat.setdefault("output_format", "png")
    return flat


def png_size(picture):
    data = base64.b64decode(picture)
    if data[:4] != b"\x89PNG":
        return data[:3].hex()
    return f"{int.from_bytes(data[16:20])}x{int.from_bytes(data[20:24])}"


def summary(answer, calls):
    """What is compared of one answer: status class, pictures, and what Bedrock was asked for."""
    data = (answer.json or {}).get("data") or []
    pictures = [datum.get("b64_json") for datum in data if datum.get("b64_json")]
    return {
        "status class": answer.status // 100,
        "pictures": len(data),
        "sizes of pictures": sorted(png_size(picture) for picture in pictures),
        "model": sorted({call.path.split("/")[2].replace("%3A", ":") for call in calls}),
        "upstream": [leaves(call.body) for call in calls],
    }


def differences(litellm, easel):
    """What differs, but for a seed that nobody asked for: Easel always sends one, so that no two pictures are alike."""
    found = []
    for name in ("status class", "pictures", "sizes of pictures", "model"):
        if litellm[name] != easel[name]:
            found.append((name, litellm[name], easel[name]))
    if litellm["status class"] != 2:
        return found
    theirs, ours = litellm["upstream"], easel["upstream"]
    if len(theirs) != len(ours):
        found.append(("calls", len(theirs), len(ours)))
    for their, our in zip(theirs, ours):
        for name in sorted(their.keys() | our.keys()):
            drawn = name == "seed" and name not in their
            if their.get(name) != our.get(name) and not drawn:
                found.append((name, their.get(name), our.get(name)))
    return found


def plain(servers):
    """The same requests to both."""
    plan = yaml.safe_load((HERE / "requests.yaml").read_text())
    with tempfile.TemporaryDirectory() as folder:
        config = pathlib.Path(folder) / "config.yaml"
        config.write_text(plan["config"])
        at_litellm, at_easel = servers.recorder(), servers.recorder()
        with ThreadPoolExecutor() as pool:
            litellm = pool.submit(servers.litellm, config, at_litellm.url)
            easel = pool.submit(servers.easel, config, at_easel.url)
            litellm, easel = litellm.result(), easel.result()
        passed = failed = 0
        for row in plan["requests"]:
            body = {"model": "nova", "prompt": "a cat"} | row.get("body", {})
            results = []
            for url, recorder in ((litellm, at_litellm), (easel, at_easel)):
                recorder.calls.clear()
                answer = ask(url, "POST", row.get("path", "/v1/images/generations"), json.dumps(body),
                             {"authorization": f"Bearer {KEY}", "content-type": "application/json"} | row.get("headers", {}))
                results.append((answer, summary(answer, list(recorder.calls))))
            found = differences(results[0][1], results[1][1])
            known = row.get("known", {})
            unknown = [f for f in found if f[0] not in known]
            stale = [name for name in known if name not in {f[0] for f in found}]
            ok = not unknown
            passed, failed = passed + ok, failed + (not ok)
            line = f"{'ok    ' if ok else 'FAILED'} {row['title']}: {results[0][0].status} and {results[1][0].status}"
            line += f", {results[1][1]['pictures']} pictures"
            for name, their, our in found:
                reason = known.get(name)
                line += f"\n         {name}: LiteLLM {their}, Easel {our}" + (f" (known: {reason})" if reason else "")
            for name in stale:
                line += f"\n         {name}: said to differ, and does not: requests.yaml may forget it"
            print(line, flush=True)
    return passed, failed


def request_of(row, table, fault):
    """A row of the table as a request; tests/it/from_litellm/table.rs does the same."""
    method, path = row.get("at", "POST /v1/images/generations").split(" ", 1)
    headers = {name: value.replace("$KEY", KEY) for name, value in row.get("headers", {}).items()}
    if row.get("key", True):
        headers["authorization"] = f"Bearer {KEY}"
    body = None
    if "raw" in row:
        body = row["raw"]
    elif "exact" in row:
        body = json.dumps(row["exact"])
    elif method == "POST":
        model = re.search(r"model_name: (\S+)", table["configs"][row["config"]])[1]
        prompt = "emulate:tiny ".ljust(row["prompt_chars"], "x") if "prompt_chars" in row else f"a cat emulate:{fault}"
        body = json.dumps({"model": model, "prompt": prompt} | row.get("body", {}))
    kind = row.get("type", "application/json")
    if body is not None and kind:
        headers["content-type"] = kind
    return method, path, body, headers


def column(servers):
    """LiteLLM's column of the table: statuses, and the number of calls where the words name one."""
    table = yaml.safe_load(TABLE.read_text())
    rows = [dict(row, group=group["name"], config=row.get("config", group["config"]))
            for group in table["groups"] for row in group["rows"] if "skip_litellm" not in row]
    passed = failed = 0
    for name in os.environ.get("CONFIGS", " ".join(table["configs"])).split():
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "config.yaml"
            config.write_text(table["configs"][name])
            recorder = servers.recorder()
            url = servers.litellm(config, recorder.url)
            for row in (row for row in rows if row["config"] == name):
                if "before" in row:
                    ask(url, *request_of(row, table, row["before"]))
                    time.sleep(0.2)
                recorder.calls.clear()
                answer = ask(url, *request_of(row, table, row.get("fault", "tiny")))
                said = str(row["litellm"])
                calls = len(recorder.calls)
                status = said[:3] if said[:3].isdigit() else None
                counted = re.search(r"\b(\d+) calls?\b", said)
                ok = status == str(answer.status) and (not counted or int(counted[1]) == calls)
                passed, failed = passed + ok, failed + (not ok)
                saw = "" if ok else f"\n         said: {said}\n         saw: {answer.status}, {calls} calls, {answer.text[:300]}"
                if not ok and recorder.calls:
                    call = recorder.calls[0]
                    saw += f"\n         sent: {call.signed} {call.path} {json.dumps(call.body)[:300]}"
                print(f"{'ok    ' if ok else 'FAILED'} {row['group']} / {row['title']}{saw}", flush=True)
                if "fault" in row or "before" in row or answer.status >= 400 and recorder.calls:
                    # What LiteLLM puts to rest after a failure must not be felt by the next row.
                    servers.wait_for_rest(url, row, table, request_of)
            servers.stop()
    return passed, failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--easel", required=True)
    parser.add_argument("--litellm", required=True)
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    servers = Servers(args.easel, args.litellm)
    try:
        passed, failed = column(servers) if args.table else plain(servers)
    finally:
        servers.stop()
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
