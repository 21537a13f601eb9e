/** Schemas for people: a row a member, what is nested folded away. */

import { element } from '../page/dom.js';
import { prose } from './prose.js';

/** A short name of a type: `string`, `list of Event`, `integer or null`. */
export function typeName(api, schema) {
  const found = api.resolve(schema) ?? {};
  if ('const' in found) return JSON.stringify(found.const);
  if (found.oneOf && !found.properties) return found.oneOf.map((option) => typeName(api, option)).join(' or ');
  const types = [found.type ?? 'object'].flat();
  return types
    .map((type) => {
      if (type === 'array') return `list of ${typeName(api, found.items)}`;
      if (type === 'object') return found.name && found.properties ? found.name : 'object';
      return type;
    })
    .join(' or ');
}

function limits(schema) {
  const said = [];
  const range = (low, high, unit) => {
    if (low !== undefined && high !== undefined) said.push(`${low} to ${high}${unit}`);
    else if (low !== undefined && low > 0) said.push(`at least ${low}${unit}`);
    else if (high !== undefined) said.push(`at most ${high}${unit}`);
  };
  range(schema.minLength, schema.maxLength, ' characters');
  if (schema.maximum !== Number.MAX_SAFE_INTEGER && !(schema.maximum > 1e15)) range(schema.minimum, schema.maximum, '');
  range(schema.minItems, schema.maxItems, ' items');
  if (schema.format) said.push(schema.format);
  if (schema.pattern) said.push(schema.pattern);
  if (schema.enum) said.push(`one of: ${schema.enum.filter((value) => value !== null).join(', ')}`);
  if (schema.default !== undefined) said.push(`default ${JSON.stringify(schema.default)}`);
  return said;
}

/** The description, type and limits of one value; what it consists of beneath. */
export function schemaView(api, schema, depth = 0) {
  const found = api.resolve(schema) ?? {};
  const inner = nested(api, found);
  const view = element('div', { className: 'schema' });
  const facts = limits(found.oneOf && !found.properties ? { ...api.resolve(found.oneOf[0]), description: undefined } : found);
  if (depth > 0) {
    if (found.description) view.append(...prose(found.description));
    if (facts.length) view.append(element('p', { className: 'facts' }, facts.join(' · ')));
  }
  if (inner?.properties && depth < 8) view.append(members(api, inner, depth));
  return view;
}

/** The object that is in a value: itself, in a list, or beside null. */
function nested(api, schema) {
  if (schema.properties) return schema;
  if (schema.items) return nested(api, api.resolve(schema.items));
  if (schema.additionalProperties?.properties) return schema.additionalProperties;
  const option = schema.oneOf?.map((one) => api.resolve(one)).find((one) => one.properties || one.items);
  return option ? nested(api, option) : null;
}

function members(api, schema, depth) {
  const list = element('dl', { className: 'members' });
  for (const [name, member] of Object.entries(schema.properties)) {
    const found = api.resolve(member);
    const needed = schema.required?.includes(name);
    const head = element(
      'dt',
      {},
      element('code', { className: 'name' }, name),
      element('span', { className: 'type' }, typeName(api, member)),
      needed ? element('span', { className: 'required' }, 'required') : null,
    );
    const view = schemaView(api, member, depth + 1);
    const inner = nested(api, found);
    const body = element('dd');
    if (inner) {
      // Made when it is looked at: schemas nest deeply.
      const described = found.description && element('div', {}, ...prose(found.description));
      const fold = element('details', {}, element('summary', {}, inner.name ?? 'members'));
      fold.addEventListener('toggle', () => {
        if (fold.open && fold.children.length === 1) fold.append(members(api, inner, depth + 1));
      });
      body.append(...[described, fold].filter(Boolean));
    } else {
      body.append(...view.childNodes);
    }
    list.append(head, body);
  }
  return list;
}
