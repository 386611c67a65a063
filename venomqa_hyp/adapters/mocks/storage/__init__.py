"""An S3-compatible object store in this process, rolled back."""

from venomqa_hyp.adapters.mocks.storage.system import MockStorage

__all__ = ["MockStorage"]
