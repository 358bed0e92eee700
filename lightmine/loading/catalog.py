"""The catalog: models that people use for mining, facts about each, and the source of each fact."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from lightmine.loading.bundle import models_folder

FILE = "catalog.json"
FACTS = ("licence", "languages", "dimension", "pooling", "prompt", "threshold")


@dataclasses.dataclass(frozen=True)
class CatalogModel:
    """A model's hub name, its facts by name, and the address that each fact was read at."""

    name: str
    facts: dict[str, Any]
    sources: dict[str, str]


def read_catalog() -> list[CatalogModel]:
    """All models of the catalog; a fact that is not known is left out.

    Examples
    --------
    >>> labse = next(model for model in read_catalog() if model.name.endswith("/LaBSE"))
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
