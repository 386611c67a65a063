"""The tables of the shop, and the command that creates them: ``python models.py``."""

import asyncio
import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Numeric, func
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

STOCK = 10
PRODUCTS = {"cup": Decimal("4.50"), "lamp": Decimal("20.00")}


class Base(DeclarativeBase):
    type_annotation_map = {  # noqa: RUF012  # SQLAlchemy reads it from the class
        datetime: DateTime(timezone=True),
        Decimal: Numeric(10, 2),
        list[dict[str, Any]]: JSONB,
        dict[str, Any]: JSONB,
    }


class Row:
    """A UUID for a key, and when the row was written."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class User(Row, Base):
    __tablename__ = "users"

    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str]


class Product(Row, Base):
    __tablename__ = "products"
    __table_args__ = (CheckConstraint("stock >= 0"),)

    sku: Mapped[str] = mapped_column(unique=True)
    price: Mapped[Decimal]
    stock: Mapped[int]


class Order(Row, Base):
    """Some units of one product.

    Of *quantity* units, *shipped* left the warehouse, *cancelled* never will, and *returned* of the
    shipped ones came back. *version* is the entity tag.
    """

    __tablename__ = "orders"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id"), index=True)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.id"))
    status: Mapped[str] = mapped_column(default="new")
    quantity: Mapped[int]
    shipped: Mapped[int] = mapped_column(default=0)
    cancelled: Mapped[int] = mapped_column(default=0)
    returned: Mapped[int] = mapped_column(default=0)
    price: Mapped[Decimal]
    paid: Mapped[Decimal] = mapped_column(default=Decimal("0.00"))
    refunded: Mapped[Decimal] = mapped_column(default=Decimal("0.00"))
    note: Mapped[str] = mapped_column(default="")
    history: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    version: Mapped[int] = mapped_column()

    __mapper_args__ = {"version_id_col": version}  # noqa: RUF012  # SQLAlchemy reads it

    def note_event(self, event: str, **details: Any) -> None:
        """Append what happened to the history."""
        happened = {"id": str(uuid4()), "at": datetime.now(UTC).isoformat(), "event": event}
        self.history = [*self.history, happened | details]


class Payment(Row, Base):
    """Money that moved: a charge, or a refund."""

    __tablename__ = "payments"

    order_id: Mapped[UUID] = mapped_column(ForeignKey("orders.id"), index=True)
    kind: Mapped[str]
    amount: Mapped[Decimal]


class AuditEntry(Row, Base):
    __tablename__ = "audit_log"

    order_id: Mapped[UUID]
    event: Mapped[str]
    request_id: Mapped[UUID]


class OutgoingMail(Row, Base):
    """A mail that a separate job sends."""

    __tablename__ = "outbox"

    recipient: Mapped[str]
    template: Mapped[str]
    payload: Mapped[dict[str, Any]]


class CustomerStatistics(Base):
    """Numbers shown on the profile page, which would take a scan of the orders."""

    __tablename__ = "customer_statistics"

    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    orders_placed: Mapped[int]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


def make_engine(url: str) -> AsyncEngine:
    """Return an engine with a pool of five connections."""
    return create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"), pool_size=5)


async def create_tables(url: str) -> None:
    """Create the tables and the products."""
    engine = make_engine(url)
    rows = [{"sku": sku, "price": price, "stock": STOCK} for sku, price in PRODUCTS.items()]
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        await connection.execute(insert(Product).values(rows).on_conflict_do_nothing())
    await engine.dispose()


if __name__ == "__main__":
    asyncio.run(create_tables(os.environ["SHOP_DATABASE"]))
