"""Named datasets: checksums always, and failed downloads leave nothing. The network is a server of this test's own."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bet.data import load_dataset, sources
from bet.errors import BetError

CONTENT = b"0 1 2\n1 0 2\n2 1\n"


@pytest.fixture
def server():
    """A web server; ``server.answer`` decides: whole, cut (less than announced) or other (wrong content)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            body = b"0 9\n" if self.server.answer == "other" else CONTENT
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:5] if self.server.answer == "cut" else body)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.answer, httpd.asked = "whole", 0
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.shutdown()


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """ml-1m is one small file on the server; nothing is cached yet."""
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BET_DATA", raising=False)
    address = f"http://127.0.0.1:{server.server_port}/"
    files = {"train.txt": hashlib.sha256(CONTENT).hexdigest()}
    monkeypatch.setitem(sources.REMOTES, "ml-1m", sources.Remote(address, files, (3, 3, 5)))
    return tmp_path / "cache" / "data" / "ml-1m"


def left(folder):
    return [path.name for path in folder.glob("*") if path.suffix != ".lock"] if folder.exists() else []


def test_downloaded_once_then_cached(server, cache):
    data = load_dataset("ml-1m")
    assert (data.n_users, data.n_items, len(data)) == (3, 3, 5)
    assert load_dataset("ml-1m").fingerprint() == data.fingerprint()
    assert server.asked == 1 and left(cache) == ["train.txt"]


@pytest.mark.parametrize(("answer", "message"), [("cut", "cannot download|sha256"), ("other", "sha256")])
def test_a_broken_download_leaves_nothing_and_the_next_one_works(server, cache, answer, message):
    server.answer = answer
    with pytest.raises(BetError, match=message):
        load_dataset("ml-1m")
    assert left(cache) == []
    server.answer = "whole"
    assert len(load_dataset("ml-1m")) == 5


def test_killed_download_leaves_nothing(cache, monkeypatch):
    def die(address, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "_download", die)
    with pytest.raises(KeyboardInterrupt):
        load_dataset("ml-1m")
    assert left(cache) == []


def test_nobody_answers(cache, server, monkeypatch):
    source = sources.REMOTES["ml-1m"]
    monkeypatch.setitem(sources.REMOTES, "ml-1m", sources.Remote("http://127.0.0.1:9/", source.files, source.counts))
    with pytest.raises(BetError, match=r"cannot download .*BET_DATA"):
        load_dataset("ml-1m")


def test_a_damaged_cache_or_own_file_is_refused(cache, server, tmp_path, monkeypatch):
    load_dataset("ml-1m")
    (cache / "train.txt").write_bytes(CONTENT + b"3 1\n")
    with pytest.raises(BetError, match="sha256.*delete the file"):
        load_dataset("ml-1m")
    own = tmp_path / "own" / "ml-1m"
    own.mkdir(parents=True)
    monkeypatch.setenv("BET_DATA", str(tmp_path / "own"))
    (own / "train.txt").write_bytes(CONTENT)
    assert len(load_dataset("ml-1m")) == 5 and server.asked == 1
    (own / "train.txt").write_bytes(CONTENT[:-3])
    with pytest.raises(BetError, match="own.*sha256"):
        load_dataset("ml-1m")


def test_unexpected_counts_are_refused(cache, monkeypatch):
    source = sources.REMOTES["ml-1m"]
    monkeypatch.setitem(sources.REMOTES, "ml-1m", sources.Remote(source.address, source.files, (3, 3, 6)))
    with pytest.raises(BetError, match=r"\(3, 3, 5\).*instead of \(3, 3, 6\)"):
        load_dataset("ml-1m")


def test_movielens_without_an_index_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    monkeypatch.delenv("BET_DATA", raising=False)
    for name, value in {"INDEX_URL": "http://127.0.0.1:9/", "RETRIES": "0", "CONFIG_FILE": "/dev/null", "NO_INDEX": "1"}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(BetError, match="pip could not download recbole==1.2.1.*(?s:.*)BET_DATA"):
        load_dataset("movielens-100k")
    assert left(tmp_path / "data" / "movielens-100k") == []
