"""A session with the language server as an editor has it: a process, and JSON-RPC over its stdin and stdout."""

import json
import subprocess
import sys
import threading

import pytest

URI = "file://{}"
PLANTED = "import jax.numpy as jnp\n\n\ndef f(x):\n    '😀'; return x == jnp.nan\n"


class Session:
    """An editor that speaks to `verax lint --lsp`."""

    def __init__(self, folder, encodings=None):
        command = [sys.executable, "-m", "verax", "lint", "--lsp"]
        self.process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self.timer = threading.Timer(60, self.process.kill)
        self.timer.start()
        self.number = 0
        general = {"general": {"positionEncodings": encodings}} if encodings else {}
        about = {"processId": None, "rootUri": URI.format(folder), "capabilities": general}
        self.capabilities = self.ask("initialize", about)["capabilities"]
        self.tell("initialized", {})

    def send(self, message):
        content = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        self.process.stdin.flush()

    def read(self):
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length"):
                length = int(line.partition(b":")[2])
        assert length, "the server has ended"
        return json.loads(self.process.stdout.read(length))

    def tell(self, method, params):
        self.send({"method": method, "params": params})

    def ask(self, method, params):
        self.number += 1
        self.send({"id": self.number, "method": method, "params": params})
        while (message := self.read()).get("id") != self.number:
            pass
        assert "error" not in message, message
        return message["result"]

    def diagnostics(self):
        while (message := self.read()).get("method") != "textDocument/publishDiagnostics":
            pass
        return message["params"]

    def open(self, uri, text):
        self.tell(
            "textDocument/didOpen",
            {"textDocument": {"uri": uri, "languageId": "python", "version": 1, "text": text}},
        )
        return self.diagnostics()["diagnostics"]

    def change(self, uri, version, text):
        self.tell(
            "textDocument/didChange",
            {"textDocument": {"uri": uri, "version": version}, "contentChanges": [{"text": text}]},
        )

    def actions(self, uri, line, only=None):
        place = {"line": line, "character": 20}
        context = {"diagnostics": [], **({"only": only} if only else {})}
        asked = {"textDocument": {"uri": uri}, "range": {"start": place, "end": place}, "context": context}
        return self.ask("textDocument/codeAction", asked) or []


@pytest.fixture
def session(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.verax.lint]\n")
    made = Session(tmp_path)
    yield made
    made.ask("shutdown", None)
    made.tell("exit", None)
    assert made.process.wait(timeout=30) == 0
    made.timer.cancel()
    made.process.stdin.close()
    made.process.stdout.close()


def test_a_session_of_an_editor(session, tmp_path):
    uri = URI.format(tmp_path / "a.py")
    assert session.capabilities["codeActionProvider"]["codeActionKinds"] == ["quickfix", "source.fixAll.verax"]
    [found] = session.open(uri, PLANTED)
    assert (found["code"], found["source"], found["severity"]) == ("VX604", "verax", 1)
    assert found["range"]["start"] == {"line": 4, "character": 17}  # an emoji is two units of UTF-16

    [action] = session.actions(uri, 4)
    assert action["title"] == "VX604: Replace by jnp.isnan(x)" and action["isPreferred"]
    [edit] = action["edit"]["changes"][uri]
    assert edit["newText"] == "jnp.isnan(x)"
    assert edit["range"] == found["range"]
    assert session.actions(uri, 0) == []

    [every] = session.actions(uri, 0, ["source.fixAll"])
    assert every["edit"]["changes"][uri][0]["newText"] == PLANTED.replace("x == jnp.nan", "jnp.isnan(x)")

    session.change(uri, 2, PLANTED + "y = (\n")
    session.change(uri, 3, PLANTED.replace("x == jnp.nan", "jnp.isnan(x)"))
    shown = session.diagnostics()
    assert (shown["version"], shown["diagnostics"]) == (3, [])  # what was typed over in between is not checked

    session.change(uri, 4, "def f(:\n")
    assert session.diagnostics()["diagnostics"][0]["code"] == "VX001"
    session.tell("textDocument/didSave", {"textDocument": {"uri": uri}})
    assert session.diagnostics()["diagnostics"][0]["code"] == "VX001"
    session.tell("textDocument/didClose", {"textDocument": {"uri": uri}})
    assert session.diagnostics()["diagnostics"] == []


def test_the_settings_of_the_project_hold(session, tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.verax.lint]\nignore = ['VX604']\n")
    assert session.open(URI.format(tmp_path / "a.py"), PLANTED) == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "pyproject.toml").write_text("[tool.verax.lint]\nignore = ['VX699']\n")
    [found] = session.open(URI.format(tmp_path / "other" / "a.py"), PLANTED)
    assert "unknown rule 'VX699'" in found["message"]


def test_a_missing_pygls_is_named(monkeypatch, capsys):
    from verax.cli import main

    monkeypatch.setitem(sys.modules, "pygls", None)
    assert main(["lint", "--lsp"]) == 2
    assert (
        "verax lint --lsp needs pygls, which is not installed. Run: pip install 'verax[lsp]'" in capsys.readouterr().err
    )
