/** An OpenAPI document: its operations in order, references resolved, examples made. */

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

export class ApiDocument {
  constructor(json) {
    this.json = json;
    this.operations = [];
    for (const [path, item] of Object.entries(json.paths)) {
      for (const method of METHODS) {
        if (item[method]) this.operations.push(this.#operation(method, path, item[method]));
      }
    }
  }

  static async load(url) {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error(`${url}: ${answer.status}`);
    return new ApiDocument(await answer.json());
  }

  get tags() {
    return this.json.tags.map((tag) => ({
      ...tag,
      operations: this.operations.filter((operation) => operation.tag === tag.name),
    }));
  }

  #operation(method, path, definition) {
    const security = definition.security ?? this.json.security ?? [];
    const body = this.resolve(definition.requestBody);
    return {
      id: definition.operationId,
      tag: definition.tags?.[0],
      method,
      path,
      summary: definition.summary,
      description: definition.description,
      scheme: Object.keys(security[0] ?? {})[0] ?? null,
      parameters: (definition.parameters ?? []).map((parameter) => this.resolve(parameter)),
      body: body ? Object.entries(body.content)[0][1] : null,
      responses: Object.entries(definition.responses).map(([status, response]) => ({ status, ...this.resolve(response) })),
    };
  }

  /** What a reference stands for; what stands beside it is kept. */
  resolve(value) {
    if (!value?.$ref) return value;
    const { $ref, ...beside } = value;
    let found = this.json;
    for (const part of $ref.slice(2).split('/')) found = found[part.replaceAll('~1', '/').replaceAll('~0', '~')];
    return { name: $ref.split('/').pop(), ...this.resolve(found), ...beside };
  }

  /** A value that fits the schema, for people to start from. */
  example(schema, depth = 0) {
    const found = this.resolve(schema) ?? {};
    if (found.examples) return found.examples[0];
    if ('const' in found) return found.const;
    if ('default' in found) return found.default;
    if (found.enum) return found.enum[0];
    if (found.oneOf && !found.properties) return this.example(found.oneOf[0], depth);
    switch ([found.type].flat()[0]) {
      case 'object':
        if (depth > 6) return {};
        return Object.fromEntries(
          Object.entries(found.properties ?? {})
            .filter(([name]) => found.required?.includes(name) || depth < 2)
            .map(([name, member]) => [name, this.example(member, depth + 1)]),
        );
      case 'array':
        return depth > 6 ? [] : [this.example(found.items, depth + 1)];
      case 'integer':
      case 'number':
        return found.minimum ?? 0;
      case 'boolean':
        return false;
      default:
        return found.format === 'date-time' ? '2026-11-20T10:00:00.000Z' : 'text';
    }
  }
}
