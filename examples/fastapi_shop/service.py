"""A shop: FastAPI over PostgreSQL and Redis.

    python models.py && uvicorn service:app --workers 2

Settings come from the environment: ``SHOP_DATABASE``, ``SHOP_REDIS``, ``SHOP_PREFIX`` (how its keys
in Redis begin), ``SHOP_SECRET`` and ``SHOP_WAREHOUSE_KEY``. ``SHOP_BUGS`` switches bugs on, by name
and separated by commas; without it there are none that we know of:

- ``session``: a change of the password ends no other session.
- ``refund``: an order is cancelled by a statement of its own, which returns the money and leaves
  the version and the refunded amount of the order as they were.
- ``stock``: a return puts the whole order into stock, also what a cancellation had put there.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID, uuid4

from fastapi import BackgroundTasks, Depends, FastAPI, Header, HTTPException, Request, Response
from models import (
    AuditEntry,
    CustomerStatistics,
    Order,
    OutgoingMail,
    Payment,
    Product,
    User,
    make_engine,
)
from redis.asyncio import Redis
from schemas import Credentials, NewOrder, NewPassword, Note, Refund, Shipment
from security import Passwords, RateLimit, Sessions
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
from sqlalchemy.orm.exc import StaleDataError

BUGS = frozenset(os.environ.get("SHOP_BUGS", "").split(",")) - {""}
LOGINS_PER_MINUTE = 10
ORDERS_PER_MINUTE = 30

engine = make_engine(os.environ.get("SHOP_DATABASE", "postgresql://localhost/shop"))
new_session = async_sessionmaker(engine, expire_on_commit=False)
redis = Redis.from_url(os.environ.get("SHOP_REDIS", "redis://localhost/0"), decode_responses=True)
prefix = os.environ.get("SHOP_PREFIX", "shop:")
passwords = Passwords()
sessions = Sessions(redis, prefix, os.environ.get("SHOP_SECRET", "development only " * 2), BUGS)
rate_limit = RateLimit(redis, prefix)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    await engine.dispose()
    await redis.aclose()


app = FastAPI(title="Shop", lifespan=lifespan)


@app.exception_handler(StaleDataError)
async def changed_meanwhile(request: Request, error: Exception) -> Response:
    return Response('{"detail": "the order has changed"}', 412, media_type="application/json")


async def transaction() -> AsyncIterator[AsyncSession]:
    """Yield a session whose transaction is committed before the response is sent."""
    async with new_session() as session, session.begin():
        yield session


async def authenticated(authorization: Annotated[str, Header()] = "") -> tuple[UUID, UUID]:
    return await sessions.find(authorization.removeprefix("Bearer "))


async def warehouse(x_warehouse_key: Annotated[str, Header()] = "") -> None:
    if x_warehouse_key != os.environ.get("SHOP_WAREHOUSE_KEY", "development only"):
        raise HTTPException(403, "not the warehouse")


Database = Annotated[AsyncSession, Depends(transaction, scope="function")]
Login = Annotated[tuple[UUID, UUID], Depends(authenticated)]
IfMatch = Annotated[str | None, Header()]


@app.post("/users", status_code=201)
async def register(given: Credentials, db: Database) -> dict[str, Any]:
    user = User(email=given.email, password_hash=await passwords.hash(given.password))
    db.add(user)
    try:
        await db.flush()
    except IntegrityError as error:
        raise HTTPException(409, "the address is taken") from error
    return {"id": user.id, "email": user.email}


@app.post("/sessions", status_code=201)
async def log_in(given: Credentials, db: Database) -> dict[str, Any]:
    await rate_limit.spend("login", given.email, LOGINS_PER_MINUTE)
    user = await db.scalar(select(User).where(User.email == given.email))
    if user is None or not await passwords.is_right(user.password_hash, given.password):
        raise HTTPException(401, "wrong address or password")
    return {"access_token": await sessions.start(user.id), "token_type": "bearer"}


@app.delete("/sessions/current", status_code=204)
async def log_out(login: Login) -> None:
    await sessions.end(*login)


@app.get("/me")
async def profile(login: Login, db: Database) -> dict[str, Any]:
    user = await db.get_one(User, login[0])
    statistics = await db.get(CustomerStatistics, user.id)
    return {"email": user.email, "orders_placed": statistics.orders_placed if statistics else 0}


@app.put("/me/password", status_code=204)
async def change_password(given: NewPassword, login: Login, db: Database) -> None:
    user_id, session_id = login
    user = await db.get_one(User, user_id, with_for_update=True)
    if not await passwords.is_right(user.password_hash, given.old):
        raise HTTPException(403, "wrong password")
    user.password_hash = await passwords.hash(given.new)
    await sessions.end_others(user_id, kept=session_id)


@app.get("/products")
async def list_products(db: Database) -> list[dict[str, Any]]:
    products = await db.scalars(select(Product).order_by(Product.sku))
    return [{"sku": item.sku, "price": item.price, "stock": item.stock} for item in products]


@app.post("/orders", status_code=201)
async def place_order(
    given: NewOrder, login: Login, db: Database, tasks: BackgroundTasks, response: Response
) -> dict[str, Any]:
    await rate_limit.spend("orders", str(login[0]), ORDERS_PER_MINUTE)
    product = await db.scalar(select(Product).where(Product.sku == given.sku).with_for_update())
    if product is None:
        raise HTTPException(404, "no such product")
    if product.stock < given.quantity:
        raise HTTPException(409, "not enough in stock")
    product.stock -= given.quantity
    order = Order(
        user_id=login[0],
        product_id=product.id,
        quantity=given.quantity,
        price=product.price,
        history=[],
    )
    order.note_event("placed", quantity=given.quantity)
    db.add(order)
    tasks.add_task(count_order, login[0])
    return await changed(order, db, tasks, response)


@app.get("/orders")
async def list_orders(login: Login, db: Database) -> list[dict[str, Any]]:
    orders = await db.scalars(
        select(Order).where(Order.user_id == login[0]).order_by(Order.created_at)
    )
    return [shown(order) for order in orders]


@app.get("/orders/{order_id}")
async def show_order(
    order_id: UUID, login: Login, db: Database, response: Response
) -> dict[str, Any]:
    order = await own_order(db, order_id, login[0])
    response.headers["ETag"] = f'"{order.version}"'
    return shown(order)


@app.patch("/orders/{order_id}")
async def annotate(
    order_id: UUID,
    given: Note,
    login: Login,
    db: Database,
    tasks: BackgroundTasks,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    order = await own_order(db, order_id, login[0], if_match)
    order.note = given.note
    return await changed(order, db, tasks, response, "annotated")


@app.post("/orders/{order_id}/payment")
async def pay(
    order_id: UUID,
    login: Login,
    db: Database,
    tasks: BackgroundTasks,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    order = await own_order(db, order_id, login[0], if_match)
    permit(order, "new")
    order.paid = order.price * order.quantity
    order.status = "paid"
    db.add(Payment(order_id=order.id, kind="charge", amount=order.paid))
    return await changed(order, db, tasks, response, "paid", amount=str(order.paid))


@app.post("/orders/{order_id}/refunds")
async def refund(
    order_id: UUID,
    given: Refund,
    login: Login,
    db: Database,
    tasks: BackgroundTasks,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    order = await own_order(db, order_id, login[0], if_match)
    if given.amount > order.paid - order.refunded:
        raise HTTPException(409, "more than is left of the payment")
    give_back(db, order, given.amount)
    return await changed(order, db, tasks, response, "refunded", amount=str(given.amount))


@app.post("/orders/{order_id}/cancellation")
async def cancel(
    order_id: UUID,
    login: Login,
    db: Database,
    tasks: BackgroundTasks,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Cancel what is not shipped, and return the money for it."""
    order = await own_order(db, order_id, login[0], if_match)
    permit(order, "new", "paid", "shipping")
    left = order.quantity - order.shipped
    owed = max(Decimal(0), order.paid - order.refunded - order.price * order.shipped)
    await put_into_stock(db, order, left)
    if "refund" in BUGS:
        # Planted: a statement that the mapper does not see leaves the version as it is.
        order.note_event("cancelled", amount=str(owed))
        values = {"status": "cancelled", "cancelled": left, "history": order.history}
        db.expunge(order)
        await db.execute(update(Order).where(Order.id == order_id).values(values))
        if owed:
            db.add(Payment(order_id=order_id, kind="refund", amount=owed))
        order = await db.get_one(Order, order_id)
        return await changed(order, db, tasks, response)
    order.cancelled = left
    order.status = "cancelled"
    if owed:
        give_back(db, order, owed)
    return await changed(order, db, tasks, response, "cancelled", amount=str(owed))


@app.post("/orders/{order_id}/return-request")
async def request_return(
    order_id: UUID,
    login: Login,
    db: Database,
    tasks: BackgroundTasks,
    response: Response,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Announce that all shipped units come back."""
    order = await own_order(db, order_id, login[0], if_match)
    permit(order, "shipped", "cancelled")
    if not order.shipped or order.returned:
        raise HTTPException(409, "there is nothing to return")
    order.status = "returning"
    return await changed(order, db, tasks, response, "return requested")


@app.post("/warehouse/orders/{order_id}/shipments", dependencies=[Depends(warehouse)])
async def ship(
    order_id: UUID, given: Shipment, db: Database, tasks: BackgroundTasks, response: Response
) -> dict[str, Any]:
    """Ship some units of an order, or all of them."""
    order = await locked_order(db, order_id)
    permit(order, "paid", "shipping")
    if given.units > order.quantity - order.shipped:
        raise HTTPException(409, "more than was ordered")
    if order.paid - order.refunded < order.price * (order.shipped + given.units):
        raise HTTPException(409, "not paid")
    order.shipped += given.units
    order.status = "shipped" if order.shipped == order.quantity else "shipping"
    return await changed(order, db, tasks, response, "shipped", units=given.units)


@app.post("/warehouse/orders/{order_id}/returns", dependencies=[Depends(warehouse)])
async def receive_return(
    order_id: UUID, db: Database, tasks: BackgroundTasks, response: Response
) -> dict[str, Any]:
    """Take the shipped units back, and return the rest of the money."""
    order = await locked_order(db, order_id)
    permit(order, "returning")
    # Planted: of a cancelled order a part is in stock already.
    units = order.quantity if "stock" in BUGS else order.shipped
    await put_into_stock(db, order, units)
    order.returned = order.shipped
    order.status = "returned"
    if order.paid > order.refunded:
        give_back(db, order, order.paid - order.refunded)
    return await changed(order, db, tasks, response, "returned", units=order.shipped)


async def own_order(
    db: AsyncSession, order_id: UUID, user_id: UUID, if_match: str | None = None
) -> Order:
    """Return an order of a user; with *if_match*, only in that version."""
    order = await db.scalar(select(Order).where(Order.id == order_id, Order.user_id == user_id))
    if order is None:
        raise HTTPException(404, "no such order")
    if if_match is not None and if_match != f'"{order.version}"':
        raise HTTPException(412, "the order has changed")
    return order


async def locked_order(db: AsyncSession, order_id: UUID) -> Order:
    order = await db.get(Order, order_id, with_for_update=True)
    if order is None:
        raise HTTPException(404, "no such order")
    return order


def permit(order: Order, *statuses: str) -> None:
    if order.status not in statuses:
        raise HTTPException(409, f"the order is {order.status}")


def give_back(db: AsyncSession, order: Order, amount: Decimal) -> None:
    order.refunded += amount
    db.add(Payment(order_id=order.id, kind="refund", amount=amount))


async def put_into_stock(db: AsyncSession, order: Order, units: int) -> None:
    statement = update(Product).where(Product.id == order.product_id)
    await db.execute(statement.values(stock=Product.stock + units))


async def changed(
    order: Order,
    db: AsyncSession,
    tasks: BackgroundTasks,
    response: Response,
    event: str | None = None,
    **details: Any,
) -> dict[str, Any]:
    """Write an order with what happened to it; the audit and the mail follow the response."""
    if event is not None:
        order.note_event(event, **details)
    await db.flush()
    response.headers["ETag"] = f'"{order.version}"'
    tasks.add_task(record, order.id, order.user_id, order.history[-1]["event"])
    return shown(order)


def shown(order: Order) -> dict[str, Any]:
    names = ("id", "status", "quantity", "shipped", "cancelled", "returned", "paid", "refunded")
    return {name: getattr(order, name) for name in (*names, "note", "history")}


async def record(order_id: UUID, user_id: UUID, event: str) -> None:
    """Write the audit entry and the mail for what happened to an order."""
    async with new_session() as session, session.begin():
        user = await session.get_one(User, user_id)
        session.add(AuditEntry(order_id=order_id, event=event, request_id=uuid4()))
        payload = {"order": str(order_id), "message_id": f"<{uuid4()}@shop.example>"}
        session.add(OutgoingMail(recipient=user.email, template=event, payload=payload))


async def count_order(user_id: UUID) -> None:
    statement = insert(CustomerStatistics).values(user_id=user_id, orders_placed=1)
    more = {"orders_placed": CustomerStatistics.orders_placed + 1, "updated_at": func.now()}
    async with new_session() as session, session.begin():
        await session.execute(
            statement.on_conflict_do_update(index_elements=["user_id"], set_=more)
        )
