// The page of the API: the OpenAPI document, as people read it.

import { get } from "./api.js";
import { byId, element } from "./dom.js";

/** @typedef {Record<string, any>} Json */

/** Errors are alike everywhere, and are told once. */
const ERROR = 400;

/** Draws one document. */
class Document {
  /** @param {Json} document */
  constructor(document) {
    this.document = document;
  }

  /** Operations by their group, in the document's order. */
  get groups() {
    /** @type {Map<string, {method: string, path: string, operation: Json}[]>} */
    const groups = new Map();
    for (const [path, methods] of Object.entries(this.document.paths)) {
      for (const [method, operation] of Object.entries(/** @type {Json} */ (methods))) {
        const [group = "voxswap"] = operation.tags ?? [];
        if (!groups.has(group)) groups.set(group, []);
        groups.get(group)?.push({ method, path, operation });
      }
    }
    return groups;
  }

  /** What a schema refers to. @param {Json} schema @returns {Json} */
  resolved(schema) {
    if (!schema.$ref) return schema;
    const path = schema.$ref.replace("#/", "").split("/");
    return path.reduce(
      (/** @type {Json} */ found, /** @type {string} */ key) => found[key],
      this.document,
    );
  }

  /** A schema's kind, in a few words. @param {Json} schema @returns {string} */
  kind(schema) {
    const found = this.resolved(schema);
    if (found.enum) return found.enum.join(" | ");
    if (found.const !== undefined) return String(found.const);
    const some = found.anyOf ?? found.oneOf;
    if (some) {
      const kinds = some.map((/** @type {Json} */ one) => this.kind(one));
      return kinds.filter((/** @type {string} */ kind) => kind !== "null").join(" or ");
    }
    if (found.type === "array") return `list of ${this.kind(found.items ?? {})}`;
    return [found.type ?? "anything"].flat().join(" or ");
  }

  /**
   * Fields of an object, those of objects in it behind a point.
   * @param {Json} schema
   * @param {string} before
   * @returns {{name: string, kind: string, about: string}[]}
   */
  fields(schema, before = "") {
    const { properties = {}, required = [] } = this.resolved(schema);
    return Object.entries(properties).flatMap(([name, given]) => {
      const field = /** @type {Json} */ (given);
      const found = this.resolved(field);
      if (found.properties) return this.fields(found, `${before}${name}.`);
      const must = required.includes(name) ? "required" : told(found.default ?? field.default);
      const description = (field.description ?? found.description ?? "").replace(/\.$/, "");
      const about = [description, must].filter(Boolean).join("; ");
      const row = { name: before + name, kind: this.kind(field), about };
      const items = found.items && this.resolved(found.items);
      return items?.properties ? [row, ...this.fields(items, `${before}${name}[].`)] : [row];
    });
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {Json} operation
   */
  section(method, path, operation) {
    const section = element(
      "section",
      { class: "card operation", id: operation.operationId },
      element("h3", {}, badge(method), element("span", { text: path })),
      element("p", { text: operation.summary }),
    );
    const parameters = (operation.parameters ?? []).map((/** @type {Json} */ parameter) => ({
      name: parameter.name,
      kind: `in the ${parameter.in}`,
      about: [parameter.description, parameter.required && "required"].filter(Boolean).join("; "),
    }));
    append(section, "Parameters", parameters);
    const body = operation.requestBody?.content ?? {};
    for (const [type, { schema }] of Object.entries(/** @type {Json} */ (body))) {
      append(section, `Body, ${type}`, this.fields(schema));
    }
    const answers = Object.keys(operation.responses?.["200"]?.content ?? {});
    if (answers.length) {
      section.append(element("h4", { text: "Answer" }), element("p", { text: answers.join(", ") }));
    }
    return section;
  }

  /** What every path answers when something is wrong. */
  errors() {
    const [first] = Object.values(this.document.paths).flatMap((methods) => Object.values(methods));
    const responses = Object.entries(/** @type {Json} */ (first).responses);
    const rows = responses
      .filter(([status]) => Number(status) >= ERROR)
      .map(([status, { description }]) => ({ name: status, kind: "", about: description }));
    const section = element("section", { class: "card operation", id: "errors" });
    section.append(element("h3", { text: "Errors" }));
    const shape = '{"error": {"reason", "message", "violations": [{"field", "description"}]}}';
    section.append(element("p", {}, element("code", { text: shape })));
    append(section, "Status", rows);
    return section;
  }
}

/** @param {unknown} value of a field that is not sent */
function told(value) {
  const isPlain = ["string", "number", "boolean"].includes(typeof value);
  return isPlain && value !== "" ? `${value} unless set` : "";
}

/** @param {string} method */
function badge(method) {
  return element("span", { class: `method ${method}`, text: method.toUpperCase() });
}

/**
 * @param {HTMLElement} section
 * @param {string} title
 * @param {{name: string, kind: string, about: string}[]} rows
 */
function append(section, title, rows) {
  if (!rows.length) return;
  const shown = rows.map(({ name, kind, about }) =>
    element(
      "div",
      {},
      element("dt", {}, element("code", { text: name })),
      element("dd", {}, element("span", { class: "kind", text: kind }), kind ? " " : "", about),
    ),
  );
  section.append(element("h4", { text: title }), element("dl", { class: "fields" }, ...shown));
}

/** @param {Json} openapi */
function draw(openapi) {
  const document = new Document(openapi);
  const contents = byId("contents");
  const operations = byId("operations");
  operations.replaceChildren();
  for (const [group, found] of document.groups) {
    contents.append(element("h2", { text: group }));
    operations.append(element("h2", { text: group }));
    for (const { method, path, operation } of found) {
      const link = element("a", { href: `#${operation.operationId}` }, badge(method), path);
      contents.append(link);
      operations.append(document.section(method, path, operation));
    }
  }
  contents.append(element("h2", { text: "All of them" }));
  contents.append(element("a", { href: "#errors" }, "Errors"));
  contents.append(element("a", { href: "#sockets" }, "WebSocket"));
  operations.append(document.errors());
  byId("sockets").hidden = false;
  operations.append(byId("sockets"));
  if (location.hash) globalThis.document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  draw(await get("/openapi.json"));
} catch (error) {
  byId("docs-note").textContent = String(error);
}
