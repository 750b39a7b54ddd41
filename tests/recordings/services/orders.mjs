// A service that takes orders, with Express and pino. `node orders.mjs PORT PAYMENTS`: payments are asked on that port.
import express from "express";
import pino from "pino";

const log = pino({ base: { pid: process.pid, hostname: process.env.HOSTNAME, service: "orders" } });
const pay = log.child({ module: "payments" });
const app = express();
app.use(express.json({ limit: "1kb" }));
const stock = new Map();
let pool = 6;

app.use((request, response, next) => {
  const start = process.hrtime.bigint();
  response.on("finish", () => {
    const took = Number(process.hrtime.bigint() - start) / 1e6;
    log.info({ reqId: request.get("x-id"), ms: Number(took.toFixed(2)) }, `${request.method} ${request.path} answered with ${response.statusCode}`);
  });
  next();
});

app.post("/orders", async (request, response) => {
  const { id, item, user, count } = request.body;
  log.info({ reqId: request.get("x-id") }, `order ${id} of user ${user}: ${count} x ${item}`);
  if (!stock.has(item)) {
    stock.set(item, 40);
    log.debug("never shown");
    log.info(`cache miss for ${item}, loaded in ${Math.floor(Math.random() * 30)} ms`);
  }
  if (stock.get(item) < count) {
    log.warn({ item }, `only ${stock.get(item)} of ${item} left, order ${id} rejected`);
    stock.set(item, 40);
    log.info({ item }, `restocked ${item}`);
    return response.status(409).end();
  }
  stock.set(item, stock.get(item) - count);
  if (pool === 0) {
    log.error({ waiting: 12 }, "no connection left in the pool");
    return response.status(503).end();
  }
  pool -= 1;
  try {
    const answer = await fetch(`http://127.0.0.1:${process.argv[3]}/pay/${id}`, { signal: AbortSignal.timeout(1000) });
    pay.info({ orderId: id, status: answer.status }, `payment for order ${id} accepted by gateway g${id % 3}`);
    response.status(201).end();
  } catch (error) {
    if (error.name === "TimeoutError") pay.error({ orderId: id }, `payment for order ${id} timed out after 1000ms`);
    else pay.error({ err: error.cause ?? error, orderId: id }, `payment for order ${id} failed`);
    response.status(502).end();
  } finally {
    pool += 1;
  }
});

app.get("/orders/:id", (request, response) => {
  if (request.params.id % 5 === 0) {
    log.warn(`order ${request.params.id} not found`);
    return response.status(404).end();
  }
  response.json({ id: request.params.id });
});

app.get("/report", (request, response) => {
  const rows = Math.floor(Math.random() * 900);
  log.info({ rows }, `report for ${request.query.month} built: ${rows} rows`);
  if (rows > 700) log.warn(`slow query took ${rows * 3}ms: SELECT * FROM orders WHERE month = '${request.query.month}'`);
  response.end();
});

app.use((error, request, response, next) => {
  log.error({ err: { type: error.name, message: error.message } }, "request could not be read");
  response.status(error.status ?? 500).end();
});

setInterval(() => log.info(`heartbeat: ${stock.size} items cached, ${pool} connections free`), 5000);
process.on("SIGTERM", () => {
  log.info("SIGTERM received, closing");
  process.exit(0);
});
app.listen(Number(process.argv[2]), "127.0.0.1", () => log.info(`listening on port ${process.argv[2]}`));
