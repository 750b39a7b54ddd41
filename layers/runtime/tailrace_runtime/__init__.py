"""A Lambda runtime for Python that streams: ASGI apps behind Function URLs, over the documented Runtime API.

The managed runtime starts it through `AWS_LAMBDA_EXEC_WRAPPER=/opt/tailrace-runtime` (AWS: "Modifying the runtime
environment"). It needs the standard library only. Where it departs from the obvious, and why:

1. The managed runtime's client is not used or patched: awslambdaric 4.2.2 posts a response as one piece
   (aws/aws-lambda-roadmap#39), and what is around it is no public interface.
2. The prelude and the 8 NUL bytes are chunks of their own, and `cookies` is always there. AWS takes them in any
   chunking; cargo-lambda's emulator takes them in this one only.
3. One event loop serves a process, in its main thread, and stands still while an ordinary handler runs there: so
   Mangum, which runs the app on that same loop, meets the connections that a streamed request opened.
4. Nobody tells a function that its client has gone (AWS: "Response streaming for Lambda functions";
   aws/aws-lambda-nodejs-runtime-interface-client#145). If the Runtime API does hang up, `send` raises an OSError, as
   ASGI 2.4 wants it: Starlette's StreamingResponse then ends. What the app registered as pending goes on.
5. The trailers of a failed response are kept below 4 KB: Go's HTTP server, in which the Runtime API is written,
   refuses longer ones ("suspiciously long trailer after chunked body") and with them the error.
6. The prelude waits for the first body message, as ASGI says. An exception before that is a clean 502.
"""
