"""A file's vectors for other tools: FAISS, numpy, torch.

``bet.export.embedding.PackedEmbedding`` is a ``torch.nn.Module`` over a file itself.
"""

from bet.export.build import FORMS, export
from bet.export.stored import open_packed, stored_rows

__all__ = ["FORMS", "export", "open_packed", "stored_rows"]
