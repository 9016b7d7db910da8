"""``bet stream``: files within a cap, whatever is in the folder, wherever it is interrupted."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bet
from bet.__main__ import main
from bet.errors import BetError
from bet.packed import ids_path
from bet.release import stream
from bet.release.stream import build_stream, checked_task, file_names
from bet.release.stream_page import cut_sentences
from bet.stream import STREAM_METHODS, StreamSettings, arrange, load_events, now

CAP, THREE = 5000, StreamSettings(3)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def shop(k=240, n_users=24, n_items=30, seed=0):
    """Users of two tastes, who arrive one after the other until the end."""
    rng = np.random.default_rng(seed)
    users = np.minimum(n_users * rng.random(k) ** 0.5 * (np.arange(k) / k) ** 0.5, n_users - 1)
    users = users.astype(int)
    items = 2 * rng.integers(0, n_items // 2, k) + users % 2
    columns = [f"u{user}" for user in users], [f"i{item}" for item in items], np.arange(k) * 1.0
    return arrange("shop", *(pd.Series(column) for column in columns))


def build(out, cap=CAP, rule=THREE, method="stream-uniform", events=None):
    return build_stream(events or shop(), cap, out, method=method, settings=rule)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Killed(Exception):
    pass


def killing(function, call):
    """``function``, which the process does not survive the ``call``-th time."""
    calls = iter(range(1, 10**6))

    def kill(*arguments):
        if next(calls) == call:
            raise Killed
        return function(*arguments)

    return kill


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BET_CACHE", str(folder / "cache"))
        build(folder / "files")
    return content(folder / "files")


def same_but_for_the_page(folder, clean):
    """The page names the folder."""
    files = content(folder)
    assert files.keys() == clean.keys()
    return all(files[name] == clean[name] for name in files.keys() - {"index.html"})


@pytest.mark.parametrize(
    ("name", "call", "then"),
    [
        ("_keep", 2, "the same"),
        ("_keep", 4, "another"),
        ("write_whole", 4, "emptied"),
        ("write_whole", 4, "foreign files"),
    ],
)
def test_an_interrupted_run_continues_into_any_folder(
    tmp_path, monkeypatch, clean, name, call, then
):
    out = tmp_path / "files"
    with monkeypatch.context() as patch:
        patch.setattr(stream, name, killing(getattr(stream, name), call))
        with pytest.raises(Killed):
            build(out)
    if then == "another":
        out = tmp_path / "others"
    elif then == "emptied":
        shutil.rmtree(out, ignore_errors=True)
    elif then == "foreign files":
        build(out, cap=40_000, rule=StreamSettings(4), method="stream-powerlaw")
        assert (out / "segment-00.safetensors").stat().st_size > CAP
    build(out)
    assert same_but_for_the_page(out, clean)
    assert all(len(clean[name]) <= CAP for name in clean if name.endswith(".safetensors"))


def test_what_was_kept_is_not_trusted_when_damaged(tmp_path, monkeypatch, clean, cache):
    with monkeypatch.context() as patch:
        patch.setattr(stream, "_publish", killing(stream._publish, 1))
        with pytest.raises(Killed):
            build(tmp_path / "files")
    (kept,) = cache.glob("work/stream-*/segment-01.safetensors.pt")
    damaged = bytearray(kept.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    kept.write_bytes(damaged)
    build(tmp_path / "files")
    assert same_but_for_the_page(tmp_path / "files", clean)


def test_nothing_changes_before_all_is_computed(tmp_path, monkeypatch):
    out = tmp_path / "files"
    build(out, cap=40_000)
    before = content(out)
    monkeypatch.setattr(stream, "_keep", killing(stream._keep, 4))
    with pytest.raises(Killed):
        build(out)
    assert content(out) == before


def test_files_of_more_segments_do_not_stay(tmp_path):
    out = tmp_path / "files"
    build(out, cap=40_000, rule=StreamSettings(4))
    for name in ("segment-x.safetensors", "notes.txt"):
        (out / name).write_text("mine")
    build(out)
    names = {*file_names(3), "index.html", "segment-x.safetensors", "notes.txt"}
    assert content(out).keys() == names | {f"{name}.ids" for name in file_names(3)}


def test_two_runs_into_one_folder_are_refused(tmp_path, monkeypatch, clean):
    out, keep, refused = tmp_path / "files", stream._keep, []

    def meanwhile(*arguments):
        monkeypatch.setattr(stream, "_keep", keep)
        with pytest.raises(BetError, match="another run writes to .*files; wait for it, or name"):
            build(tmp_path / "cache" / ".." / "files", cap=40_000)
        refused.append(build(tmp_path / "others", cap=40_000))
        return keep(*arguments)

    monkeypatch.setattr(stream, "_keep", meanwhile)
    build(out)
    assert refused and same_but_for_the_page(out, clean)


def named_cap(error):
    return int(str(error.value).split("smallest cap that does is ")[1].split()[0].replace(",", ""))


def check(events, cap, rule):
    return checked_task(events, cap, "stream-uniform", rule, seed=0)


@given(
    k=st.integers(20, 400),
    sides=st.tuples(st.integers(2, 300), st.integers(2, 300)),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 4),
)
def test_the_smallest_cap_that_is_named_is_accepted(k, sides, seed, count):
    events, rule = shop(k, *sides, seed), StreamSettings(count)
    with pytest.raises(BetError) as error:
        check(events, 0, rule)
    smallest = named_cap(error)
    with pytest.raises(BetError) as error:
        check(events, smallest - 1, rule)
    assert named_cap(error) == smallest
    try:
        check(events, smallest, rule)
    except BetError as refused:
        assert "cap" not in str(refused) and "budget" not in str(refused)
        assume(False)


@settings(max_examples=3)
@given(k=st.integers(60, 300), room=st.integers(0, 40), seed=st.integers(0, 99))
def test_every_file_is_within_the_smallest_cap(tmp_path_factory, k, room, seed):
    events, rule = shop(k, 20, 20, seed), StreamSettings(2)
    with pytest.raises(BetError) as error:
        check(events, 0, rule)
    cap = named_cap(error) + room
    try:
        release = build(tmp_path_factory.mktemp("files"), cap, rule, events=events)
    except BetError as refused:
        assert "cap" not in str(refused) and "budget" not in str(refused)
        assume(False)
    for file in (*release.files, release.now):
        assert file.stat().st_size <= cap


def test_the_file_for_now_holds_everybody(tmp_path, monkeypatch):
    events, train, epochs = shop(900, 60, 40, seed=1), now.train_from_scratch, []

    def noted(context, allocation, name, before):
        epochs.append(before.epoch)
        return train(context, allocation, name, before)

    monkeypatch.setattr(now, "train_from_scratch", noted)
    release = build(tmp_path / "files", events=events)
    assert epochs == [release.results[-1].epochs]
    n_before = events.known_after(release.segments[-1].train_end)[0]
    late = [str(user) for user in events.user_ids[n_before:]]
    assert len(late) == 4  # who come in the last 30 %
    with pytest.raises(BetError, match="unknown user"):
        bet.load(release.files[-1]).recommend(late, k=5, exclude_seen=False)
    model = bet.load(release.now)
    users, items = ([str(each) for each in ids] for ids in (events.user_ids, events.item_ids))
    for answer in model.recommend(users, k=len(items), exclude_seen=False).items:
        assert sorted(answer) == sorted(items)
    # It was fitted to what they have had: items of their taste, even or odd, are on top.
    answers = model.recommend(late, k=5, exclude_seen=False).items
    tastes = [
        [int(user[1:]) % 2 == int(item[1:]) % 2 for item in answer]
        for user, answer in zip(late, answers, strict=True)
    ]
    assert np.mean(tastes) > 0.9  # of chance: half of them
    assert release.now.stat().st_size <= CAP
    page = release.page.read_text()
    assert f"for all {len(users)} users and {len(items)} items" in page


def at_times(events, times):
    users, items = events.user_ids[events.users], events.item_ids[events.items]
    return arrange("shop", pd.Series(users), pd.Series(items), pd.Series(times))


def test_what_came_of_the_cut_is_said(tmp_path):
    events = shop()
    release = build(
        tmp_path / "files", rule=StreamSettings(6), events=at_times(events, events.times * 0)
    )
    said = [
        "1 segment, not 6: events of one time are not parted by a segment's end",
        "in 1 of 1, events of one time are on both sides of a cut between train, validation and "
        "test: there their order in the file decides",
    ]
    assert cut_sentences(release) == said
    page = release.page.read_text()
    assert "1 segment, not 6" in page and "In 1 of 1, events of one time" in page
    assert "the ids beside them (.ids) are not counted" in page
    assert cut_sentences(build(tmp_path / "files", events=events)) == ["3 segments"]


def test_what_cannot_be_ranked_is_refused_before_any_work(tmp_path, cache):
    events = shop()
    number, users = np.arange(len(events)), pd.Series(events.users)
    items = np.where(number < len(events) - 20, events.items, 1000 + number)  # unseen in the end
    new_in_the_end = arrange("late", users, pd.Series(items), pd.Series(events.times))
    with pytest.raises(BetError, match="part of segment 2 have been seen .*cut fewer segments"):
        build(tmp_path / "files", events=new_in_the_end)
    one_user = arrange("one", users * 0, pd.Series(number), pd.Series(events.times))
    with pytest.raises(BetError, match="segment 0 .*one segment would not help"):
        build(tmp_path / "files", events=one_user)
    assert not (tmp_path / "files").exists() and not cache.exists()


@pytest.mark.parametrize("n", [1, 2, 99, 100, 101, 1000, 1001])
def test_files_sort_by_number(n):
    names = file_names(n)[:-1]
    assert len(set(names)) == n and sorted(names) == names


@pytest.fixture
def csv(tmp_path):
    events = load_events("tiny-drift")
    frame = pd.DataFrame(
        {
            "customer": [f"u{i}" for i in events.user_ids[events.users]],
            "item": events.item_ids[events.items],
            "timestamp": events.times,
        }
    )
    file = tmp_path / "events.csv"
    frame.to_csv(file, index=False)
    return file


def command(csv, *further, budget="5 kB"):
    return main(
        ["stream", "--data", str(csv), "--user-column", "customer", "--budget", budget, *further]
    )


def test_the_command_leaves_a_file_per_segment_within_the_cap(csv, tmp_path, capsys):
    out = tmp_path / "files"
    assert command(csv, "--out", str(out), "--segments", "3") == 0
    files = [out / name for name in file_names(3)]
    assert sorted(out.glob("*.safetensors")) == sorted(files)
    assert all(file.stat().st_size <= 5000 and ids_path(file).exists() for file in files)
    shown = capsys.readouterr().out
    assert all(f"{file.stat().st_size:,}" in shown for file in files)
    assert f"serve from {out / 'now.safetensors'}" in shown and "3 segments" in shown
    page = (out / "index.html").read_text()
    assert "5,000 bytes" in page and "now.safetensors" in page and "http" not in page
    answer = bet.load(files[-1]).recommend(["u3"], k=5, exclude_seen=False).items
    assert len(answer[0]) == 5
    contents = [file.read_bytes() for file in files]
    assert command(csv, "--out", str(tmp_path / "again"), "--segments", "3") == 0
    assert [(tmp_path / "again" / file.name).read_bytes() for file in files] == contents


@pytest.mark.parametrize(
    ("further", "budget", "message"),
    [
        ((), "90%", "a stream has a cap in bytes, got '90%'; for example '2 MB'"),
        ((), "1 TB", "a stream has a cap in bytes, got '1 TB'; for example '2 MB'"),
        ((), "25.6 B/entity", "grows with users and items"),
        ((), "900 B", "the smallest cap that does is"),
        (("--method", "stream-full"), "5 kB", "no method 'stream-full' with a cap"),
        (("--segments", "900"), "5 kB", "too few for train, validation and test"),
        (("--timestamp-column", "when"), "5 kB", "no column 'when'"),
    ],
)
def test_what_a_stream_cannot_be_is_said(csv, tmp_path, capsys, further, budget, message):
    out = tmp_path / "files"
    assert command(csv, "--out", str(out), *further, budget=budget) == 1
    said = capsys.readouterr().err
    assert message in said and "sparsity" not in said and "parameters" not in said
    assert not out.exists()


def test_the_help_offers_what_is_taken(csv, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")  # names are not parted
    with pytest.raises(SystemExit):
        main(["stream", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    words = set(re.findall(r"[a-z-]+", shown))
    for name, method in STREAM_METHODS.items():
        assert (name in words) is method.capped
    assert "npz" not in shown and "LightGCN" not in shown and "k-core" not in shown
    assert "of the split" not in shown and "they replace the segment-*" in shown
    with pytest.raises(SystemExit):
        command(csv, "--out", "files", "--k-core", "3")
