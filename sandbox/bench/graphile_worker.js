// A drain by graphile-worker: `node graphile_worker.js URL COUNT AT_ONCE BODY`, with the database in
// DATABASE_URL and the packages in NODE_PATH.
//
// It adds COUNT jobs, each of which POSTs the JSON in BODY by one pool of undici. Then it runs them,
// AT_ONCE at a time, and exits. Jobs are fetched and completed in batches, as graphile-worker's page
// about performance recommends.

"use strict";

const { Logger, makeWorkerUtils, run } = require("graphile-worker");
const { Pool } = require("undici");

// Fewer than PostgreSQL's default of 100.
const MAX_CONNECTIONS = 50;

const QUIET = new Logger(() => (level, message) => {
  if (level === "error") console.error(message);
});

async function main(url, count, atOnce, body) {
  const preset = {
    worker: {
      connectionString: process.env.DATABASE_URL,
      logger: QUIET,
      concurrentJobs: atOnce,
      maxPoolSize: Math.min(atOnce + 1, MAX_CONNECTIONS),
      localQueue: { size: 500 },
      completeJobBatchDelay: 0,
      failJobBatchDelay: 0,
    },
  };

  const utils = await makeWorkerUtils({ preset });
  await utils.migrate();
  const payload = JSON.parse(body);
  await utils.addJobs(Array.from({ length: count }, () => ({ identifier: "post", payload })));
  await utils.withPgClient((client) => client.query("vacuum analyze"));
  await utils.release();

  const { origin, pathname } = new URL(url);
  const sink = new Pool(origin, { connections: atOnce });
  let left = count;
  const post = async (message) => {
    const answer = await sink.request({
      path: pathname,
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(message),
    });
    if (answer.statusCode !== 200) throw new Error(`the sink answered ${answer.statusCode}`);
    await answer.body.json();
    left -= 1;
    if (left === 0) runner.stop();
  };
  const runner = await run({ preset, taskList: { post } });
  await runner.promise;
  await sink.close();
}

const [url, count, atOnce, body] = process.argv.slice(2);
main(url, Number(count), Number(atOnce), body).catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
