"""Failures as files that run without an exploration, each executed once before it is believed."""

from venomqa_hyp.exports.files import Exported, export
from venomqa_hyp.exports.follow import Outcome, replay_har

__all__ = ["Exported", "Outcome", "export", "replay_har"]
