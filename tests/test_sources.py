"""Named datasets: checksums always, and failed downloads leave nothing. The network is a server of
this test's own.
"""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from bet.data import load_dataset, sources
from bet.errors import BetError

CONTENT = b"0 1 2\n1 0 2\n2 1\n"


@pytest.fixture
def server():
    """A web server; ``server.answer`` decides: whole, cut (less than announced), other (wrong
    content), stall or missing.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.server.asked += 1
            body = b"0 9\n" if self.server.answer == "other" else CONTENT
            self.send_response(404 if self.server.answer == "missing" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:5] if self.server.answer in ("cut", "stall") else body)
            if self.server.answer == "stall":
                self.server.stalled.set()
                self.server.ended.wait(60)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.answer, httpd.asked = "whole", 0
        httpd.stalled, httpd.ended = threading.Event(), threading.Event()
        httpd.daemon_threads = True
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.ended.set()
        httpd.shutdown()


def source_at(address, counts=(3, 3, 5)):
    return sources.Source(
        {"train.txt": hashlib.sha256(CONTENT).hexdigest()},
        partial(sources._download, address),
        counts,
        "a test",
    )


@pytest.fixture
def cache(server, tmp_path, monkeypatch):
    """ml-1m is one small file on the server; nothing is cached yet."""
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BET_DATA", raising=False)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setitem(
        sources.SOURCES, "ml-1m", source_at(f"http://127.0.0.1:{server.server_port}/")
    )
    return tmp_path / "cache" / "data" / "ml-1m"


def left(folder):
    return [path.name for path in folder.glob("*") if path.suffix != ".lock"]


def test_downloaded_once_then_cached(server, cache):
    data = load_dataset("ml-1m")
    assert (data.n_users, data.n_items, len(data)) == (3, 3, 5)
    assert load_dataset("ml-1m").fingerprint() == data.fingerprint()
    assert server.asked == 1 and left(cache) == ["train.txt"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [("cut", "cannot download|sha256"), ("other", "sha256"), ("missing", "404")],
)
def test_a_broken_download_leaves_nothing_and_the_next_one_works(server, cache, answer, message):
    server.answer = answer
    with pytest.raises(BetError, match=message):
        load_dataset("ml-1m")
    assert left(cache) == []
    server.answer = "whole"
    assert len(load_dataset("ml-1m")) == 5


def test_interrupted_download_leaves_nothing(cache, server, monkeypatch):
    def die(file, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    working = sources.SOURCES["ml-1m"]
    monkeypatch.setitem(sources.SOURCES, "ml-1m", replace(working, fetch=die))
    with pytest.raises(KeyboardInterrupt):
        load_dataset("ml-1m")
    assert left(cache) == []
    monkeypatch.setitem(sources.SOURCES, "ml-1m", working)
    assert len(load_dataset("ml-1m")) == 5


KILLED = """
import sys
from dataclasses import replace
from functools import partial
from bet.data import load_dataset, sources
download = partial(sources._download, sys.argv[1])
stalled = replace(sources.SOURCES["ml-1m"], files={"train.txt": "0" * 64}, fetch=download)
sources.SOURCES["ml-1m"] = stalled
load_dataset("ml-1m")
"""


def test_what_a_killed_download_leaves_is_never_used_and_goes_next_time(cache, server):
    server.answer = "stall"
    address = f"http://127.0.0.1:{server.server_port}/"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, address], env=os.environ.copy()
    ) as process:
        server.stalled.wait()
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL and "train.txt" not in left(cache)
    assert [name for name in left(cache) if name.startswith(".bet-")], "what it had begun to write"
    server.answer = "whole"
    assert len(load_dataset("ml-1m")) == 5 and left(cache) == ["train.txt"]


def test_nobody_answers(cache, monkeypatch):
    monkeypatch.setitem(sources.SOURCES, "ml-1m", source_at("http://127.0.0.1:9/"))
    with pytest.raises(BetError, match=r"cannot download http://127.0.0.1:9/train.txt .*BET_DATA"):
        load_dataset("ml-1m")
    assert left(cache) == []


def test_without_pooch_both_remedies_are_named_and_own_files_do(
    cache, server, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(
        BetError,
        match=r"needs pooch: pip install 'bet\[study\]', or put the file into \$BET_DATA/ml-1m/",
    ):
        load_dataset("ml-1m")
    assert left(cache) == [] and not server.asked
    (tmp_path / "own" / "ml-1m").mkdir(parents=True)
    (tmp_path / "own" / "ml-1m" / "train.txt").write_bytes(CONTENT)
    monkeypatch.setenv("BET_DATA", str(tmp_path / "own"))
    assert len(load_dataset("ml-1m")) == 5


def test_a_damaged_cache_or_own_file_is_refused(cache, server, tmp_path, monkeypatch):
    load_dataset("ml-1m")
    (cache / "train.txt").write_bytes(CONTENT + b"3 1\n")
    with pytest.raises(BetError, match="sha256.*delete the file"):
        load_dataset("ml-1m")
    folder = tmp_path / "own" / "ml-1m"
    folder.mkdir(parents=True)
    monkeypatch.setenv("BET_DATA", str(tmp_path / "own"))
    (folder / "train.txt").write_bytes(CONTENT)
    assert len(load_dataset("ml-1m")) == 5 and server.asked == 1
    (folder / "train.txt").write_bytes(CONTENT[:-3])
    with pytest.raises(BetError, match="own.*sha256"):
        load_dataset("ml-1m")


def test_unexpected_counts_are_refused(cache, server, monkeypatch):
    monkeypatch.setitem(
        sources.SOURCES, "ml-1m", source_at(f"http://127.0.0.1:{server.server_port}/", (3, 3, 6))
    )
    with pytest.raises(BetError, match=r"\(3, 3, 5\).*instead of \(3, 3, 6\)"):
        load_dataset("ml-1m")


@pytest.fixture
def only_pip(tmp_path, monkeypatch):
    """MovieLens-100K is not here yet, and pip knows no index but the ones a test names."""
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("BET_DATA", raising=False)
    for variable in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(variable)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return tmp_path / "cache" / "data" / "movielens-100k"


def test_movielens_without_an_index_says_what_to_do(only_pip, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(
        BetError, match="pip could not download recbole==1.2.1.*(?s:.*)BET_DATA/movielens-100k/"
    ):
        load_dataset("movielens-100k")
    assert left(only_pip) == []


RATINGS = b"user_id:token\titem_id:token\trating:float\n1\t5\t3\n2\t5\t4\n2\t6\t4\n"


@pytest.fixture
def wheel(tmp_path, monkeypatch):
    """A local recbole 1.2.1 of three ratings, the only one that pip can find."""
    path = tmp_path / "wheels" / "recbole-1.2.1-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("recbole/dataset_example/ml-100k/ml-100k.inter", RATINGS)
        archive.writestr(
            "recbole-1.2.1.dist-info/METADATA",
            "Metadata-Version: 2.1\nName: recbole\nVersion: 1.2.1\n",
        )
        archive.writestr(
            "recbole-1.2.1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        archive.writestr("recbole-1.2.1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(path.parent))
    return path


def test_another_wheel_than_the_expected_one_is_refused(only_pip, wheel):
    with pytest.raises(
        BetError,
        match="recbole-1.2.1-py3-none-any.whl as pip downloads it: sha256 is .*, expected 9c994820",
    ):
        load_dataset("movielens-100k")
    assert left(only_pip) == []


@pytest.mark.parametrize("member_is_right", [True, False])
def test_the_member_is_taken_out_of_the_wheel_and_checked(
    only_pip, wheel, monkeypatch, member_is_right
):
    fetch = partial(
        sources._fetch_from_wheel,
        "recbole==1.2.1",
        hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "recbole/dataset_example/ml-100k/",
    )
    expected = hashlib.sha256(RATINGS if member_is_right else b"").hexdigest()
    monkeypatch.setitem(
        sources.SOURCES,
        "movielens-100k",
        sources.Source({"ml-100k.inter": expected}, fetch, (2, 2, 3), "a test"),
    )
    if member_is_right:
        data = load_dataset("movielens-100k")
        assert (
            list(data.user_ids) == [1, 2]
            and list(data.item_ids) == [5, 6]
            and left(only_pip) == ["ml-100k.inter"]
        )
    else:
        with pytest.raises(BetError, match="ml-100k.inter as downloaded: sha256"):
            load_dataset("movielens-100k")
        assert left(only_pip) == []


def test_registry_entries_are_complete():
    assert set(sources.SOURCES) | {"tiny"} == set(sources.DATASETS)
    for source in sources.SOURCES.values():
        assert source.files and all(
            len(sha256) == 64 and int(sha256, 16) for sha256 in source.files.values()
        )
        assert len(source.counts) == 3 and all(source.counts)
        assert source.source and len(source.source) < 100


def test_read_only_data_folder_is_only_read(server, cache, tmp_path, monkeypatch):
    folder = tmp_path / "data" / "ml-1m"
    folder.mkdir(parents=True)
    (folder / "train.txt").write_bytes(CONTENT)
    for path in (folder / "train.txt", folder, folder.parent):
        path.chmod(path.stat().st_mode & ~0o222)
    monkeypatch.setenv("BET_DATA", str(folder.parent))
    try:
        before = [(path, path.stat().st_mtime_ns) for path in sorted(folder.parent.rglob("*"))]
        assert len(load_dataset("ml-1m")) == 5 and server.asked == 0
        # Root may write anywhere, so that nothing changed is checked as well.
        assert before == [
            (path, path.stat().st_mtime_ns) for path in sorted(folder.parent.rglob("*"))
        ]
    finally:
        folder.parent.chmod(0o755)
        folder.chmod(0o755)
