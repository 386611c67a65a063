"""The algebra of values: digests, encodings, atoms, and what identifies content but for them."""

from venomqa_hyp.values.atoms import Name, atoms_in_text, template_of
from venomqa_hyp.values.chance import pattern_of
from venomqa_hyp.values.comparison import ABSENT, Difference, differences
from venomqa_hyp.values.digest import canonical_text, digest, hash_text, snapshot
from venomqa_hyp.values.identity import Named, text_of
from venomqa_hyp.values.knowledge import Knowledge, Made, Shown
from venomqa_hyp.values.renaming import Sealed, aligned, rename
from venomqa_hyp.values.trees import Place, json_in

__all__ = [
    "ABSENT",
    "Difference",
    "Knowledge",
    "Made",
    "Name",
    "Named",
    "Place",
    "Sealed",
    "Shown",
    "aligned",
    "atoms_in_text",
    "canonical_text",
    "differences",
    "digest",
    "hash_text",
    "json_in",
    "pattern_of",
    "rename",
    "snapshot",
    "template_of",
    "text_of",
]
