from pathlib import Path

import numpy as np
import torch

from musetalk.models.positional_encoding import add_positional_encoding, positional_encoding

GOLDEN = Path(__file__).parent.parent / "data" / "golden" / "positional_encoding.npz"


def test_equals_the_published_encoding():
    golden = np.load(GOLDEN)
    encoded = add_positional_encoding(torch.from_numpy(golden["x"].astype(np.float32)))
    np.testing.assert_allclose(encoded.numpy(), golden["y"], atol=1e-5)


def test_table_by_hand():
    table = positional_encoding(2, 4)
    expected = [[0, 1, 0, 1], [np.sin(1), np.cos(1), np.sin(0.01), np.cos(0.01)]]
    np.testing.assert_allclose(table.numpy(), expected, atol=1e-6)


def test_keeps_the_dtype_of_the_tokens():
    assert add_positional_encoding(torch.zeros(1, 50, 128, dtype=torch.bfloat16)).dtype == torch.bfloat16
