"""An S3-compatible object store in this process, rolled back."""

from venomqa_hyp.adapters.storage.system import MockStorage

__all__ = ["MockStorage"]
