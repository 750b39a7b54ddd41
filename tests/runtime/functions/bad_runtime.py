"""A minimal runtime that makes the one mistake that `WRONG` names; none if it is empty."""

import base64
import json
import os
import socket

WRONG = os.environ.get("WRONG", "")
HOST, PORT = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
BASE = "/2018-06-01/runtime"


class Connection:
    def __init__(self):
        self.socket = socket.create_connection((HOST, int(PORT)))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def head(self, method, path, headers):
        lines = [f"{method} {BASE}{path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def reply(self):
        status = int(self.file.readline().split()[1])
        headers = {}
        while (line := self.file.readline().strip()) != b"":
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return status, headers, self.file.read(int(headers["content-length"]))

    def post(self, path, body, headers=()):
        self.head("POST", path, {"Host": HOST, "Content-Length": len(body), **dict(headers)})
        self.send(body)
        return self.reply()


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def report(request_id, error_type="Oops", message="x"):
    return json.dumps(
        {"errorType": error_type, "errorMessage": message, "requestId": request_id, "stackTrace": []}
    ).encode()


def answer(connection, headers):
    request_id = headers["lambda-runtime-aws-request-id"]
    path = f"/invocation/{request_id}"
    echo = {} if WRONG == "no echo" else {"Lambda-Runtime-Invocation-Id": headers["lambda-runtime-invocation-id"]}
    if WRONG == "unknown invocation":
        connection.post("/invocation/not-one-of-yours/response", b"{}", echo)
    if WRONG == "unknown path":
        connection.post(f"{path}/done", b"{}", echo)
    if WRONG == "next too early":
        early = Connection()
        early.head("GET", "/invocation/next", {"Host": HOST})
        early.socket.shutdown(socket.SHUT_WR)
        early.file.read()  # it ends when the request has been read
    if WRONG == "error report without a type":
        connection.post(f"{path}/error", report(request_id), echo)
        return
    connection.head(
        "POST",
        f"{path}/response",
        {
            "Host": HOST,
            "Transfer-Encoding": "chunked",
            "Lambda-Runtime-Function-Response-Mode": "stream" if WRONG == "mode" else "streaming",
            "Content-Type": "text/html"
            if WRONG == "content type"
            else "application/vnd.awslambda.http-integration-response",
            **(
                {}
                if WRONG == "no trailers declared"
                else {"Trailer": "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"}
            ),
            **echo,
        },
    )
    prelude = {"statusCode": 200, "headers": {}, "cookies": []}
    if WRONG == "no cookies":
        del prelude["cookies"]
    if WRONG == "a cookie as header":
        prelude["headers"]["Set-Cookie"] = "a=1"
    first = json.dumps(prelude).encode()
    if WRONG == "one chunk for prelude and NULs":
        connection.send(chunk(first + bytes(8)))
    elif WRONG == "NULs in two chunks":
        connection.send(chunk(first) + chunk(bytes(3)) + chunk(bytes(5)))
    elif WRONG == "no prelude":
        pass
    else:
        connection.send(chunk(first) + chunk(bytes(8)))
    connection.send(chunk(b"hello"))
    trailer = b""
    if WRONG in ("long trailers", "error without base64"):
        body = report(request_id, message="x" * 4096)
        body = body if WRONG == "error without base64" else base64.b64encode(body)
        trailer = b"Lambda-Runtime-Function-Error-Type: Oops\r\nLambda-Runtime-Function-Error-Body: %b\r\n" % body
    connection.send(b"0\r\n%b\r\n" % trailer)
    connection.reply()
    if WRONG == "a second response":
        connection.post(f"{path}/response", b"{}", echo)
    if WRONG == "init error after init":
        connection.post("/init/error", report(""), {"Lambda-Runtime-Function-Error-Type": "Oops"})


def main():
    connection = Connection()
    while True:
        connection.head("GET", "/invocation/next", {} if WRONG == "no host" else {"Host": HOST})
        answer(connection, connection.reply()[1])


main()
