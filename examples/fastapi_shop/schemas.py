"""The bodies of requests."""

from decimal import Decimal

from pydantic import BaseModel, Field


class Credentials(BaseModel):
    email: str
    password: str


class NewPassword(BaseModel):
    old: str
    new: str


class NewOrder(BaseModel):
    sku: str
    quantity: int = Field(ge=1, le=5)


class Note(BaseModel):
    note: str


class Refund(BaseModel):
    amount: Decimal = Field(gt=0, max_digits=8, decimal_places=2)


class Shipment(BaseModel):
    units: int = Field(ge=1)
