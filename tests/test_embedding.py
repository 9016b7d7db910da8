"""A packed embedding gives the rows of a file, where these are what is scored."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from exported import IDS, N_ITEMS, N_USERS, D, write_vectors

from bet.errors import BetError
from bet.export import export
from bet.export.embedding import PackedEmbedding
from bet.packed import code_interactions, write_recommender
from bet.recommend import open_model

EMBEDDING = """
import sys
import torch
from bet.export.embedding import PackedEmbedding
torch.manual_seed(0)
items = PackedEmbedding.items(sys.argv[1])
indices = torch.randint(items.num_embeddings, (4, 3))
dense = torch.nn.Embedding.from_pretrained(torch.load(sys.argv[2], weights_only=True))
assert torch.equal(items(indices), dense(indices)), "a drop-in"
"""


@pytest.mark.parametrize(
    ("bits", "by_id"),
    [((b,), False) for b in (1, 2, 4, 8, 16, 32)]
    + [((16, 4, 1), False), ((32, 8, 2), True), ((4,), True)],
)
def test_a_packed_embedding_gives_the_rows_of_the_file(tmp_path, bits, by_id):
    path = tmp_path / "f.bet"
    rows = torch.from_numpy(write_vectors(path, bits, by_id))
    users, items = PackedEmbedding.users(path), PackedEmbedding.items(path)
    path.unlink()  # they are in memory
    indices = torch.randint(N_USERS, (2, 3), generator=torch.Generator().manual_seed(0))
    assert torch.equal(users(indices), rows[indices])
    assert torch.equal(users(indices.int()), rows[indices])
    assert torch.equal(items.dense().weight, rows[N_USERS:])
    assert users(torch.zeros(0, dtype=torch.long)).shape == (0, D)
    assert not [*users.parameters()] and users.num_embeddings == N_USERS
    dense = users.dense()
    for wrong in (torch.tensor([0.5]), torch.tensor([True]), torch.zeros(0)):
        for embedding in (users, dense):
            with pytest.raises(RuntimeError):
                embedding(wrong)
    for wrong in (-1, N_USERS):
        with pytest.raises(IndexError, match="there are 30 rows"):
            users(torch.tensor([0, wrong]))
    # Another file of this layout takes its state; what is kept is about as long as the rows.
    write_vectors(path, bits, by_id)
    again = PackedEmbedding.users(path)
    state = {name: torch.zeros_like(value) for name, value in users.state_dict().items()}
    again.load_state_dict(state)
    again.load_state_dict(users.state_dict())
    assert torch.equal(again(indices), rows[indices])
    n_bytes = sum(value.numel() * value.element_size() for value in users.state_dict().values())
    per_row = n_bytes / N_USERS - (9 if by_id and len(bits) > 1 else 1)
    assert per_row <= np.mean([-(-D * b // 8) + 2 for b in np.resize(bits, N_USERS)])


def test_a_packed_embedding_is_a_drop_in_in_a_fresh_process(tmp_path):
    rows = torch.from_numpy(write_vectors(tmp_path / "f.bet", (4, 1)))
    torch.save(rows[N_USERS:], tmp_path / "dense.pt")
    run = subprocess.run(
        [sys.executable, "-c", EMBEDDING, str(tmp_path / "f.bet"), str(tmp_path / "dense.pt")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr


def test_ragged_rows_and_rows_in_a_recommender_are_kept_packed(tmp_path):
    sizes = np.arange(N_USERS + N_ITEMS) % D
    rows = write_vectors(tmp_path / "t", (4,), by_id=True, kind="table", sizes=sizes)
    items = PackedEmbedding.items(tmp_path / "t")
    assert torch.equal(items.dense().weight, torch.from_numpy(rows[N_USERS:]))
    write_vectors(tmp_path / "v")
    seen = code_interactions(np.arange(N_USERS + 1), np.arange(N_USERS), N_ITEMS)
    sides = {"n_users": N_USERS, "n_items": N_ITEMS}
    write_recommender(tmp_path / "r", "vectors", {}, table=tmp_path / "v", seen=seen, **sides)
    inside, alone = (PackedEmbedding.users(tmp_path / name).dense() for name in ("r", "v"))
    assert torch.equal(inside.weight, alone.weight)
    export(tmp_path / "r", "torch", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "embedding_bags.safetensors",
        "user_ids.json",
        "item_ids.json",
    }


@pytest.mark.parametrize(
    ("backbone", "kind", "message"),
    [
        (
            "lightgcn",
            "table",
            "not what is scored, but what lightgcn makes vectors from; .* --to npy'",
        ),
        ("gmf", "table", "not what is scored, but what gmf makes vectors from; .* --to npy'"),
        ("blend", "vectors", "only a part of what a blend scores by; serve it with bet.load"),
        ("lightgcn", "vectors", None),
        ("ials", "table", None),
    ],
)
def test_rows_that_are_not_what_is_scored_are_refused(tmp_path, backbone, kind, message):
    rows = write_vectors(tmp_path / "t", kind=kind)
    seen = code_interactions(np.arange(N_USERS + 1), np.arange(N_USERS), N_ITEMS)
    sides = {"n_users": N_USERS, "n_items": N_ITEMS, "table": tmp_path / "t"}
    facts = {"layers": 1, "user_exponent": 0.5, "item_exponent": 0.5, "weight": 0.5}
    write_recommender(tmp_path / "f", backbone, facts, interactions=seen, ids=IDS, **sides)
    calls = (
        lambda: PackedEmbedding.users(tmp_path / "f"),
        lambda: PackedEmbedding.items(tmp_path / "f"),
        lambda: export(tmp_path / "f", "torch", tmp_path / "out"),
    )
    for call in calls if message else ():
        with pytest.raises(BetError, match=message):
            call()
    assert not (tmp_path / "out").exists()
    if message is None:  # the scores are their inner products
        users, items, _ = (call() for call in calls)
        score = open_model(tmp_path / "f").score(IDS[0][3], IDS[1])
        np.testing.assert_allclose(users.dense().weight[3] @ items.dense().weight.T, score, 1e-4)
        assert torch.equal(users.dense().weight, torch.from_numpy(rows[:N_USERS]))
