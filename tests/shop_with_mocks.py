"""A shop in a process of its own: it charges by HTTP, queues what to pack, and sends mails.

    python shop_with_mocks.py PORT PAYMENTS_URL QUEUE_URL SMTP_PORT

It writes the mail before it knows whether the charge went through.
"""

import json
import smtplib
import sys
import urllib.error
import urllib.request
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

PORT, PAYMENTS, QUEUE, SMTP_PORT = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])


def post(url: str, content: Any) -> int:
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(content).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def send_mail(item: str) -> None:
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.com", "ada@example.com"
    message["Subject"], message["Date"] = f"You bought: {item}", formatdate()
    message["Message-ID"] = make_msgid(domain="shop")
    message.set_content("Thank you.")
    with smtplib.SMTP("127.0.0.1", SMTP_PORT, timeout=10) as server:
        server.send_message(message)


class Shop(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        item = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        send_mail(item)
        status = post(f"{PAYMENTS}/charge", {"item": item})
        if status == 201:
            post(f"{QUEUE}/queues/packing", item)
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


HTTPServer(("127.0.0.1", PORT), Shop).serve_forever()
