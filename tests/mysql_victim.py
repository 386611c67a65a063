"""A process that is killed: it opens an adapter, writes, rolls back and closes it, again and again.

    python mysql_victim.py run URL SEED       says "opening", "open" and "closing" each time
    python mysql_victim.py clean URL          says "opening", rolls a killed run back, and ends

It always rolls back to the beginning before it closes, so the beginning is the same each time.
"""

import random
import sys
from contextlib import closing, suppress
from typing import Any

import pymysql
import servers

from venomqa_hyp.adapters.mysql import MySQLAdapter, remove_journal

SCHEMA = (
    "CREATE TABLE customers (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE,"
    " balance DECIMAL(12,4), facts JSON, picture BLOB, about TEXT)",
    "CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, customer INT NOT NULL, placed"
    " TIMESTAMP(3) NULL, FOREIGN KEY (customer) REFERENCES customers (id) ON DELETE CASCADE)",
    "CREATE TABLE items (sku VARCHAR(9), order_id INT, amount INT, PRIMARY KEY (sku, order_id),"
    " FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE)",
    "CREATE TABLE log (line TEXT, weight DOUBLE)",
    "CREATE TRIGGER noted AFTER INSERT ON orders FOR EACH ROW"
    " INSERT INTO log VALUES (CONCAT('it''s order ', NEW.id), RAND())",
    "CREATE TRIGGER counted AFTER INSERT ON orders FOR EACH ROW"
    " UPDATE customers SET balance = balance - 1 WHERE id = NEW.customer",
    "CREATE TRIGGER told BEFORE UPDATE ON customers FOR EACH ROW SET NEW.about = 'changed'",
    "CREATE PROCEDURE tidy() DELETE FROM log WHERE weight < 0.2",
    *(
        f"INSERT INTO customers (name, balance, facts, picture) VALUES ('c{at}', {at}.5,"
        f""" '{{"a": [{at}, null]}}', X'00ff{at:02}')"""
        for at in range(6)
    ),
    *(f"INSERT INTO orders (customer, placed) VALUES ({at % 5 + 1}, NULL)" for at in range(8)),
    *(f"INSERT INTO items VALUES ('sku{at}', {at + 1}, {at})" for at in range(8)),
    "INSERT INTO log SELECT * FROM log LIMIT 2",
    "DELETE FROM orders WHERE id = 8",
)


def write(execute: Any, choices: random.Random) -> None:
    """Execute one statement of the application; one that its keys forbid fails."""
    number, other = choices.randint(1, 12), choices.randint(1, 12)
    statement = choices.choice(
        [
            f"INSERT INTO customers (name, picture) VALUES ('n{choices.random()}', X'c0')",
            f"UPDATE customers SET balance = balance + 0.0001 WHERE id = {number}",
            f"UPDATE customers SET facts = JSON_OBJECT('n', {other}) WHERE id > {number}",
            f"DELETE FROM customers WHERE id = {number}",
            f"INSERT INTO orders (customer, placed) VALUES ({number}, NOW(3))",
            f"INSERT INTO orders (customer) VALUES ({number}), ({other})",
            f"UPDATE orders SET id = {number + 20} WHERE id = {other}",
            f"REPLACE INTO items VALUES ('sku{number}', {other}, {number})",
            f"DELETE FROM orders WHERE id = {number}",
            "INSERT INTO log VALUES ('same', 1), ('same', 1)",
            "UPDATE log SET line = CONCAT(line, '+') LIMIT 3",
            "CALL tidy()",
        ]
    )
    with suppress(pymysql.MySQLError):
        execute(statement)


def act(execute: Any, choices: random.Random) -> None:
    """Write once, or in a transaction."""
    if choices.random() < 0.5:
        write(execute, choices)
        return
    execute("BEGIN")
    for _ in range(choices.randrange(1, 5)):
        write(execute, choices)
    execute(choices.choice(["COMMIT", "COMMIT", "ROLLBACK"]))


def work(adapter: MySQLAdapter, execute: Any, choices: random.Random) -> None:
    """Write, take checkpoints and roll back to any of them, and to the beginning at last."""
    handles = [adapter.checkpoint("beginning")]
    for _ in range(choices.randrange(1, 15)):
        for _ in range(choices.randrange(4)):
            act(execute, choices)
        if choices.random() < 0.4:
            handles.append(adapter.checkpoint("later"))
        elif choices.random() < 0.6:
            adapter.rollback(choices.choice(handles))
        else:
            adapter.observe()
    adapter.rollback(handles[0])


def run(url: str, seed: str) -> None:
    """Work until killed."""
    choices = random.Random(int(seed))
    with closing(servers.mysql_connect(url)) as application, application.cursor() as cursor:
        while True:
            print("opening", flush=True)
            with closing(MySQLAdapter(url)) as adapter:
                print("open", flush=True)
                work(adapter, cursor.execute, choices)
                print("closing", flush=True)


def clean(url: str) -> None:
    """Roll a killed run back."""
    print("opening", flush=True)
    remove_journal(url)


if __name__ == "__main__":
    {"run": run, "clean": clean}[sys.argv[1]](*sys.argv[2:])
