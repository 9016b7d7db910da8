"""Files as people have them give the right pairs, or an error with file, place and remedy."""

import logging

import pytest
from messy_files import FILES

from bet.data import read_interactions
from bet.errors import BetError


def test_there_are_as_many_as_the_audit_tried():
    assert len(FILES) >= 137


@pytest.mark.parametrize("name", FILES)
def test_a_messy_file_is_read_right_or_named(tmp_path, name):
    messy, path = FILES[name], tmp_path / name
    path.write_bytes(messy.content)
    if messy.error:
        with pytest.raises(BetError, match=messy.error) as error:
            read_interactions(path, **messy.options)
        assert str(path) in str(error.value) and str(error.value).isprintable()
        assert len(str(error.value)) < len(str(path)) + 600
        return
    data = read_interactions(path, **messy.options)
    stored = data.matrix.tocoo()
    users = stored.row if data.user_ids is None else data.user_ids[stored.row]
    items = stored.col if data.item_ids is None else data.item_ids[stored.col]
    assert {(str(u), str(i)) for u, i in zip(users, items, strict=True)} == messy.pairs


def test_what_was_read_is_summed_up_in_a_line(tmp_path, caplog):
    path, head = tmp_path / "a.csv", "user,item,rating,timestamp\n"
    caplog.set_level(logging.INFO, "bet")
    path.write_text(head + "a,x,1,10\nb,x,5,30\na,x,2,20\n")
    read_interactions(path)
    path.write_text(head + "a,x,1,2024-01-31\nb,x,5,2024-02-01 10:00\n")
    read_interactions(path, minimum_rating=2)
    path.write_text("user,item\na,x\n")
    read_interactions(path)
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.INFO]
    assert told == [
        f"{path}: 2 users, 1 items, 2 interactions; 1 dropped (repeated); ratings 1 to 5; "
        "times 10 to 30",
        f"{path}: 1 users, 1 items, 1 interactions; 1 dropped (repeated, rated lower or outside "
        "the k-core); ratings 1 to 5; times 2024-01-31T00:00:00 to 2024-02-01T10:00:00",
        f"{path}: 1 users, 1 items, 1 interactions; none dropped",
    ]
