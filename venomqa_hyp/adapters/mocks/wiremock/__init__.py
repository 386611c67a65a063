"""Stubs of other HTTP services: WireMock itself, or a small server that speaks its protocol."""

from venomqa_hyp.adapters.mocks.wiremock.adapter import RecordedRequest, WireMockAdapter
from venomqa_hyp.adapters.mocks.wiremock.server import StubServer

__all__ = ["RecordedRequest", "StubServer", "WireMockAdapter"]
