/**
 * The voxswap client for Node, over gRPC.
 *
 * ```ts
 * import { writeFile } from "node:fs/promises";
 * import { Client } from "voxswap";
 *
 * const client = new Client("127.0.0.1:50051");
 * const line = await client.say("npc/village/blacksmith", "Mind the forge.");
 * await writeFile("line.wav", line.file());
 * client.close();
 * ```
 *
 * @packageDocumentation
 */

export { Client, type ClientOptions } from "./client.js";
export * from "../shared/index.js";
