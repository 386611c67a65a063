"""A run as a JSON document, which ``schema/result.json`` describes (JSON Schema, draft 2020-12)."""

import json

from venomqa_hyp.core import ExplorationResult


def to_json(result: ExplorationResult) -> str:
    """Return ``result.to_dict()`` as JSON in ASCII: ``{"format": 1, "graph": ..., ...}``.

    ``ExplorationResult.from_dict(json.loads(text))`` reads it. The number of the format changes
    when a reader of the earlier one would misread it; a key may be added without that. Arguments
    and the context are written as they are, secrets too.
    """
    return json.dumps(result.to_dict(), allow_nan=False) + "\n"
