"""A Lambda runtime for Python that streams: ASGI apps behind Function URLs and REST APIs, over the Runtime API.

The managed runtime starts it through `AWS_LAMBDA_EXEC_WRAPPER=/opt/tailrace-runtime` (AWS: "Modifying the runtime
environment"). It needs the standard library only. These decisions are not obvious:

1. The managed runtime's client is neither used nor patched: awslambdaric 4.2.2 posts a response in one piece
   (aws/aws-lambda-roadmap#39), and its other parts are no public interface.
2. The prelude and the 8 NUL bytes are separate chunks, and `cookies` is always present. AWS accepts any chunking, but
   cargo-lambda's emulator accepts only this one.
3. A process has one event loop, in its main thread, which does not run while an ordinary handler does. Mangum runs the
   app on that same loop, so it can use the connections that a streamed request opened.
4. A function does not learn that its client has gone (AWS: "Response streaming for Lambda functions";
   aws/aws-lambda-nodejs-runtime-interface-client#145). If the Runtime API does close the connection, `send` raises an
   OSError, as ASGI 2.4 requires, and Starlette's StreamingResponse ends. The app's pending tasks go on.
5. The trailers of a failed response are shorter than 4 KB. The Runtime API is written in Go, whose HTTP server refuses
   longer ones ("suspiciously long trailer after chunked body"), and the error with them.
6. The prelude is sent with the first body message, as ASGI says. An exception before that is a clean 502.
"""
