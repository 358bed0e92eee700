"""The catalogue: models that people use for mining, and what is known of each from where."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from lightmine.loading.bundle import models_folder

FILE = "catalog.json"
FACTS = ("licence", "languages", "dimension", "pooling", "prompt", "threshold")


@dataclasses.dataclass(frozen=True)
class CatalogModel:
    """A model's hub name, its facts by name, and where each of them was read."""

    name: str
    facts: dict[str, Any]
    sources: dict[str, str]


def read_catalog() -> list[CatalogModel]:
    """All entries; a fact that nobody has written down is not there.

    Examples
    --------
    >>> labse = next(entry for entry in read_catalog() if entry.name.endswith("/LaBSE"))
    >>> labse.facts["dimension"], labse.sources["dimension"]
    (768, 'https://huggingface.co/sentence-transformers/LaBSE')
    """
    text = (models_folder() / FILE).read_text(encoding="utf-8")
    return [
        CatalogModel(
            model["id"],
            {name: fact["value"] for name, fact in model["facts"].items()},
            {name: fact["source"] for name, fact in model["facts"].items()},
        )
        for model in json.loads(text)["models"]
    ]
