/** A door and a client of it for each test. */

import { afterEach, beforeEach } from "node:test";
import { Client, type ClientOptions, type WebSocketClass } from "voxswap/browser";
import { WebSocket } from "ws";
import { Door } from "./door.js";

/** What a test of the browser's client has. */
export interface Visit {
  door: Door;
  client: Client;
  /** How long the client waited before it tried again, in milliseconds; no time went by. */
  slept: number[];
}

/** Client of Node's package ws: Node has no WebSocket of its own before 22. */
export function connect(door: Door, options: ClientOptions): Client {
  return new Client(door.url, { WebSocket: WebSocket as unknown as WebSocketClass, ...options });
}

/** Opens a door before each test, and closes what the test has left there. */
export function visit(): Visit {
  const here = {} as Visit;
  beforeEach(async () => {
    here.slept = [];
    here.door = await Door.open();
    const sleep = (ms: number) => {
      here.slept.push(ms);
      return Promise.resolve();
    };
    let nowMs = 0;
    const clock = () => (nowMs += 0.1);
    here.client = connect(here.door, { means: { clock, random: () => 1, sleep } });
  });
  afterEach(async () => {
    here.client.close();
    await here.door.close();
  });
  return here;
}
