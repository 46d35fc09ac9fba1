import gzip
import hashlib
import socket
import subprocess
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from duogen.data.fetch import RemoteFile, fetch, remote_files
from duogen.errors import UserError

CONTENT = bytes(range(256)) * 40


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT under any path: /plain ignores ranges, /cut breaks off half-way, /missing is not there."""

    def do_GET(self):
        self.server.requests.append((self.path, self.headers["Range"]))
        if self.path == "/missing":
            self.send_error(404)
            return
        start = int((self.headers["Range"] or "bytes=0-")[6:-1]) if self.path != "/plain" else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        self.wfile.write(CONTENT[start:] if self.path != "/cut" else CONTENT[start : len(CONTENT) // 2])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.requests = []
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def remote(server):
    def make(path, content=CONTENT):
        url = f"http://127.0.0.1:{server.server_port}/{path}"
        return RemoteFile(f"{path}.gz", url, hashlib.sha256(content).hexdigest())

    return make


def test_files_arrive_whole_with_one_line_each(remote, tmp_path, capsys):
    paths = fetch("set", [remote("a"), remote("b")], tmp_path / "new" / "set")
    assert paths == [tmp_path / "new" / "set" / "a.gz", tmp_path / "new" / "set" / "b.gz"]
    assert [path.read_bytes() for path in paths] == [CONTENT, CONTENT]
    assert capsys.readouterr().out.splitlines() == [
        "set: a.gz: fetched 10,240 bytes",
        "set: b.gz: fetched 10,240 bytes",
    ]
    assert sorted(path.name for path in (tmp_path / "new" / "set").iterdir()) == ["a.gz", "b.gz"]


def test_right_files_are_not_asked_for(remote, server, tmp_path, capsys):
    (tmp_path / "a.gz").write_bytes(CONTENT)
    fetch("set", [remote("a")], tmp_path)
    assert server.requests == []
    assert capsys.readouterr().out == "set: a.gz: already there\n"


def test_a_file_there_packed_is_not_asked_for(remote, server, tmp_path):
    (tmp_path / "a.gz.gz").write_bytes(gzip.compress(CONTENT))
    fetch("set", [remote("a")], tmp_path)
    assert server.requests == []


def test_without_a_checksum_the_file_is_taken_and_its_own_is_said(remote, server, tmp_path, capsys):
    file = replace(remote("a"), sha256=None)
    assert fetch("set", [file], tmp_path)[0].read_bytes() == CONTENT
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert capsys.readouterr().out == f"set: a.gz: fetched 10,240 bytes, unchecked, sha256 {digest}\n"
    fetch("set", [file], tmp_path)
    assert len(server.requests) == 1


def test_wrong_file_in_place_is_replaced(remote, tmp_path):
    (tmp_path / "a.gz").write_bytes(b"old")
    assert fetch("set", [remote("a")], tmp_path)[0].read_bytes() == CONTENT


def test_partial_file_is_continued(remote, server, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(CONTENT[:1000])
    assert fetch("set", [remote("a")], tmp_path)[0].read_bytes() == CONTENT
    assert server.requests == [("/a", "bytes=1000-")]
    assert not (tmp_path / "a.gz.part").exists()


def test_server_without_ranges_starts_over(remote, server, tmp_path):
    (tmp_path / "plain.gz.part").write_bytes(CONTENT[:1000])
    assert fetch("set", [remote("plain")], tmp_path)[0].read_bytes() == CONTENT
    assert server.requests == [("/plain", "bytes=1000-")]


def test_partial_file_that_is_too_long_starts_over(remote, server, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(CONTENT + b"more")
    assert fetch("set", [remote("a")], tmp_path)[0].read_bytes() == CONTENT
    assert server.requests == [("/a", f"bytes={len(CONTENT) + 4}-"), ("/a", None)]


def test_wrong_checksum_leaves_nothing(remote, tmp_path):
    file = remote("a", b"something else")
    with pytest.raises(UserError) as refusal:
        fetch("set", [file], tmp_path)
    assert file.url in refusal.value.given
    assert file.sha256 in refusal.value.allowed
    assert list(tmp_path.iterdir()) == []


def test_wrong_beginning_is_thrown_away(remote, tmp_path):
    (tmp_path / "a.gz.part").write_bytes(b"x" * 1000)
    with pytest.raises(UserError, match="sha256"):
        fetch("set", [remote("a")], tmp_path)
    assert fetch("set", [remote("a")], tmp_path)[0].read_bytes() == CONTENT


def test_broken_connection_keeps_what_came(remote, tmp_path):
    with pytest.raises(UserError, match="could not be read"):
        fetch("set", [remote("cut")], tmp_path)
    assert (tmp_path / "cut.gz.part").read_bytes() == CONTENT[: len(CONTENT) // 2]
    assert not (tmp_path / "cut.gz").exists()


def test_missing_page_names_all_files_and_the_folder(remote, tmp_path):
    files = [remote("missing"), remote("b")]
    with pytest.raises(UserError) as refusal:
        fetch("set", files, tmp_path)
    assert "404" in refusal.value.given
    assert all(file.url in refusal.value.remedy for file in files)
    assert str(tmp_path) in refusal.value.remedy


def test_no_network(monkeypatch, tmp_path):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a"
        with pytest.raises(UserError) as refusal:
            fetch("set", [RemoteFile("a.gz", url, "0")], tmp_path)
    assert "refused" in refusal.value.given
    assert url in refusal.value.remedy


def test_folder_that_cannot_be_made(remote, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError) as refusal:
        fetch("set", [remote("a")], tmp_path / "file" / "set")
    assert str(tmp_path / "file") in refusal.value.given
    assert "DUOGEN_DATA" in refusal.value.remedy


@pytest.mark.parametrize(
    ("stem", "home"), [("mnist", "fgnt/mnist"), ("fashion_mnist", "zalandoresearch/fashion-mnist")]
)
def test_files_of_the_configs(built, stem, home):
    files = remote_files(built(stem).declared.files)
    assert len({file.sha256 for file in files}) == len(files) == 4
    for file in files:
        assert file.url.startswith(f"https://raw.githubusercontent.com/{home}/master/")
        assert file.url.endswith(f"/{file.name}")
        assert len(file.sha256) == 64


def test_nothing_heavy_is_imported():
    heavy = "{'torch', 'numpy', 'sklearn', 'pytorch_lightning', 'hydra'}"
    code = f"import sys, duogen.data.fetch, duogen.data.folder; sys.exit(len({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
