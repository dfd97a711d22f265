"""diffreward board serve and keys from outside: a program that listens, its end by a signal, and its document.

usage: serve_test.py DIFFREWARD_PROGRAM
"""
import atexit
import http.client
import json
import pathlib
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM = sys.argv[1]


def run(*args, code=0):
    done = subprocess.run([PROGRAM, "board", *map(str, args)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (args, done.returncode, done.stderr)
    return done.stdout if code == 0 else done.stderr


class Server:
    def __init__(self, board, *options):
        self.process = subprocess.Popen([PROGRAM, "board", "serve", str(board), "--port", "0", "--threads", "1", *options],
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        atexit.register(self.process.kill)  # outlives no failure
        line = self.process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        assert found, line
        self.port = int(found[1])

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, text.decode()

    def post(self, body, key):
        return self.ask("POST", "/api/v1/submissions", body, Authorization=f"Bearer {key}", Content_Type="application/json")

    def end(self, signal_sent=signal.SIGTERM, patience=15):
        self.process.send_signal(signal_sent)
        out, err = self.process.communicate(timeout=patience)
        return self.process.returncode, out, err


def matrices(root, name, methods, runs=3):
    file = root / f"{name}.json"
    file.write_text(json.dumps({f"{name} {i}": [[0.1 * run + i, 0.5] for run in range(runs)] for i in range(methods)}))
    return file


def exported(root, methods):
    """Another board's export; of other names by replacing METHOD."""
    board = root / "other.sqlite"
    run("init", board, "--tasks", "none")
    run("import", matrices(root, "METHOD", methods), "--board", board, "--suite", "s")
    return run("export", board)


def methods_on(board, name):
    with sqlite3.connect(f"file:{board}?mode=ro", uri=True) as database:
        return database.execute("SELECT count(*) FROM entry WHERE name LIKE ? || ' %'", (name,)).fetchone()[0]


def keys_are_shown_once_and_revoked(board):
    key = run("keys", board, "--add", "anna").strip()
    assert re.fullmatch(r"drk_[0-9a-f]{64}", key), key
    assert key.encode() not in board.read_bytes(), "the board keeps the hash alone"
    assert "expected a name that no key had" in run("keys", board, "--add", "anna", code=1)
    run("keys", board, "--add", "bob")
    run("keys", board, "--revoke", "bob")
    assert "one that was revoked" in run("keys", board, "--revoke", "bob", code=1)
    assert "unknown key 'bo'" in run("keys", board, "--revoke", "bo", code=1)
    lines = run("keys", board).splitlines()
    assert len(lines) == 2 and "revoked" not in lines[0] and "revoked" in lines[1] and key not in "".join(lines), lines
    assert [sorted(one) for one in json.loads(run("keys", board, "--json"))["keys"]] == [
        ["created", "name", "revoked", "submissions"]] * 2
    return key


def the_answers_fit_the_document(server, key, body):
    status, text = server.post(body, key)
    assert status == 201, text
    answers = {"/components/schemas/Submitted": text}
    document = json.loads(server.ask("GET", "/api/v1/openapi.json")[1])
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if method != "get":
                continue
            target = path.replace("{id}", "1") + {"/api/v1/episodes": "?run=1", "/api/v1/compare": "?a=1&b=2"}.get(path, "")
            status, text = server.ask("GET", target)
            assert status == 200, (target, text)
            schema = operation["responses"]["200"]["content"].popitem()[1]["schema"]
            if "$ref" in schema:
                answers[schema["$ref"][1:]] = text
    refused = server.ask("GET", "/api/v1/rows/nobody")
    assert refused[0] == 404
    answers["/components/schemas/Error"] = refused[1]
    assert len(answers) == 10, sorted(answers)
    try:
        import jsonschema
    except ImportError:
        print("skipped: no jsonschema")
    else:
        for pointer, text in answers.items():
            schema = {"$ref": "#" + pointer, "components": document["components"]}
            jsonschema.validate(json.loads(text), schema, jsonschema.Draft202012Validator)
            print(f"{pointer}: fits")
    try:
        from openapi_spec_validator import validate
    except ImportError:
        print("skipped: no openapi-spec-validator")
    else:
        validate(document)
        print("the document is one of OpenAPI 3.1")


def curl_submits(server, key, body, root):
    if not shutil.which("curl"):
        return print("skipped: no curl")
    (root / "curl.json").write_text(body)
    done = subprocess.run(["curl", "--silent", "--fail-with-body", "-H", f"Authorization: Bearer {key}", "-H",
                           "Content-Type: application/json", "--data-binary", f"@{root / 'curl.json'}",
                           f"http://127.0.0.1:{server.port}/api/v1/submissions"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and json.loads(done.stdout)["key"] == "anna", done


def a_second_server_says_that_the_port_is_taken(server, board):
    done = subprocess.run([PROGRAM, "board", "serve", str(board), "--port", str(server.port)], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1 and done.stderr.count("\n") == 1, done
    assert f"cannot listen on 127.0.0.1, port {server.port}: Address already in use" in done.stderr, done.stderr


def other_processes_rows_are_there_at_once(server, board, root):
    before = json.loads(server.ask("GET", "/api/v1/runs")[1])["runs"]
    run("import", matrices(root, "beside", 1), "--board", board, "--suite", "s")
    assert len(json.loads(server.ask("GET", "/api/v1/runs")[1])["runs"]) == len(before) + 6
    assert "beside 0" in server.ask("GET", "/")[1]


def a_signal_in_the_middle_of_a_submission(board, key, methods):
    """Whole, and acknowledged, or not there."""
    for index, (cut, patient) in enumerate([(0.5, True), (1, True), (1, True), (0.5, False)]):
        name = f"signal{index}"
        body = methods.replace("METHOD", name).encode()
        server = Server(board, *([] if patient else ["--limits.stop-seconds", "0.3"]))
        head = (f"POST /api/v1/submissions HTTP/1.1\r\nHost: b\r\nAuthorization: Bearer {key}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
        wire = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        at = int(len(body) * cut)
        wire.sendall(head + body[:at])
        if cut < 1:
            time.sleep(0.3)

        def rest():
            time.sleep(0.2)
            wire.sendall(body[at:])

        sender = threading.Thread(target=rest if patient and cut < 1 else lambda: None)
        sender.start()
        code, _, err = server.end()
        sender.join()
        try:
            answer = wire.recv(65536)
        except ConnectionError:
            answer = b""
        there = methods_on(board, name)
        assert there in (0, 20), there
        if patient:
            assert code == 0, (code, err)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 201"), answer
            assert (there == 20) == (answer != b""), (index, answer)
            assert cut == 1 or there, "a request that has begun is finished"
        else:
            assert code == 1 and "1 request was not answered in time" in err and not there, (code, err)
    assert json.loads(run("check", board, "--json"))["faults"] == []


with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder)
    board = root / "board.sqlite"
    run("init", board, "--tasks", "none")
    key = keys_are_shown_once_and_revoked(board)
    server = Server(board)
    methods = exported(root, 20)
    the_answers_fit_the_document(server, key, methods.replace("METHOD", "first"))
    curl_submits(server, key, methods.replace("METHOD", "curl"), root)
    a_second_server_says_that_the_port_is_taken(server, board)
    other_processes_rows_are_there_at_once(server, board, root)
    code, out, err = server.end(signal.SIGINT)
    assert code == 0 and "requests" in out, (code, out, err)
    assert str(root) not in out + err or str(board) in err
    a_signal_in_the_middle_of_a_submission(board, key, methods)
    assert "found no file" in run("serve", root / "none.sqlite", code=1)
