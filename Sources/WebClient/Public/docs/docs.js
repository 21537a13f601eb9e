/** The API's page: what openapi.json says, by tag, with every call to try. */

import { element } from '../page/dom.js';
import { attemptForm } from './attempt.js';
import { ApiDocument } from './document.js';
import { prose } from './prose.js';
import { schemaView, typeName } from './schema.js';

const KEPT = 'roost.docs.tokens';

/** The tokens that calls are made with, one a security scheme. Kept while the tab is open. */
class Tokens {
  #inputs = new Map();

  constructor(schemes) {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? '{}');
    for (const [name, scheme] of Object.entries(schemes)) {
      const input = element('input', {
        id: `token-${name}`,
        type: 'password',
        autocomplete: 'off',
        placeholder: 'none',
        value: kept[name] ?? '',
        title: scheme.description ?? '',
      });
      input.addEventListener('input', () => this.#keep());
      this.#inputs.set(name, input);
    }
  }

  value(scheme) {
    return this.#inputs.get(scheme)?.value.trim() ?? '';
  }

  take(scheme, token) {
    this.#inputs.get(scheme).value = token;
    this.#keep();
  }

  #keep() {
    const values = [...this.#inputs].map(([name, input]) => [name, input.value]);
    sessionStorage.setItem(KEPT, JSON.stringify(Object.fromEntries(values)));
  }

  view() {
    const titles = { bearer: 'Access token', admin: 'Operator’s token' };
    return element(
      'form',
      { className: 'tokens', on: { submit: (event) => event.preventDefault() } },
      ...[...this.#inputs].map(([name, input]) =>
        element('label', { htmlFor: input.id }, element('span', {}, titles[name] ?? name), input),
      ),
    );
  }
}

function badge(method) {
  return element('span', { className: `method ${method}` }, method.toUpperCase());
}

function section(title, ...children) {
  return element('section', {}, element('h4', {}, title), ...children);
}

function exampleView(value) {
  return element('pre', {}, typeof value === 'string' ? value : JSON.stringify(value, null, 2));
}

const WHO = { bearer: 'Needs an access token.', admin: 'Needs the operator’s token.' };

function operationBody(api, operation, tokens) {
  const view = element('div', { className: 'operation-body' });
  if (operation.description) view.append(...prose(operation.description));
  view.append(element('p', { className: 'facts' }, WHO[operation.scheme] ?? 'Public: needs no token.'));
  if (operation.parameters.length) {
    view.append(
      section(
        'Parameters',
        schemaView(api, {
          properties: Object.fromEntries(
            operation.parameters.map((parameter) => [
              parameter.name,
              { ...api.resolve(parameter.schema), description: `In the ${parameter.in}. ${parameter.description ?? ''}` },
            ]),
          ),
          required: operation.parameters.filter((parameter) => parameter.required).map((parameter) => parameter.name),
        }),
      ),
    );
  }
  if (operation.body) {
    const example = operation.body.example ?? api.example(operation.body.schema);
    const described = api.resolve(operation.body.schema).description;
    view.append(section('Body', ...(described ? prose(described) : []), schemaView(api, operation.body.schema), exampleView(example)));
  }
  view.append(section('Answers', ...operation.responses.map((response) => responseView(api, response))));
  view.append(section('Try it', attemptForm(api, operation, tokens)));
  return view;
}

function responseView(api, response) {
  const [media, content] = Object.entries(response.content ?? {})[0] ?? [];
  const head = element(
    'summary',
    {},
    element('strong', { className: response.status < '300' ? 'good' : 'fault' }, response.status),
    ` ${response.description}`,
  );
  const fold = element('details', { className: 'response' }, head);
  fold.addEventListener(
    'toggle',
    () => {
      if (!content) return fold.append(element('p', { className: 'facts' }, 'Without a body.'));
      fold.append(
        element('p', { className: 'facts' }, `${media} · ${typeName(api, content.schema)}`),
        schemaView(api, content.schema),
        exampleView(content.example ?? api.example(content.schema)),
      );
    },
    { once: true },
  );
  return fold;
}

function operationView(api, operation, tokens) {
  const fold = element(
    'details',
    { className: 'operation', id: operation.id },
    element(
      'summary',
      {},
      badge(operation.method),
      element('code', { className: 'path' }, operation.path),
      element('span', { className: 'summary' }, operation.summary),
    ),
  );
  fold.addEventListener('toggle', () => fold.append(operationBody(api, operation, tokens)), { once: true });
  return fold;
}

function navigation(api) {
  const filter = element('input', { type: 'search', placeholder: 'Find a call', aria: { label: 'Find a call' }, autocomplete: 'off' });
  const list = element('div', { className: 'tags' });
  const entries = [];
  for (const tag of api.tags) {
    const calls = element('ul');
    const group = element('section', {}, element('h3', {}, tag.name), calls);
    for (const operation of tag.operations) {
      const link = element('a', { href: `#${operation.id}` }, badge(operation.method), element('span', {}, operation.summary));
      const item = element('li', {}, link);
      entries.push({ item, group, text: `${operation.method} ${operation.path} ${operation.summary}`.toLowerCase() });
      calls.append(item);
    }
    list.append(group);
  }
  filter.addEventListener('input', () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const { item, text } of entries) item.hidden = !text.includes(wanted);
    for (const group of list.children) group.hidden = !group.querySelector('li:not([hidden])');
  });
  return element('nav', { aria: { label: 'Calls' } }, filter, list);
}

/** Opens what the address names. */
function follow() {
  const named = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (!named) return;
  if (named instanceof HTMLDetailsElement) named.open = true;
  named.scrollIntoView({ block: 'start' });
  document.body.classList.remove('navigating');
}

async function show(root) {
  const api = await ApiDocument.load('/openapi.json');
  const tokens = new Tokens(api.json.components.securitySchemes);
  const menu = element('button', { className: 'menu', type: 'button' }, 'Calls');
  menu.addEventListener('click', () => document.body.classList.toggle('navigating'));
  const main = element(
    'main',
    {},
    element('header', { className: 'intro' }, element('h1', {}, `${api.json.info.title}: the API`), ...prose(api.json.info.description), tokens.view()),
    ...api.tags.map((tag) =>
      element(
        'section',
        { className: 'tag', id: `tag-${tag.name.replaceAll(' ', '-')}` },
        element('h2', {}, tag.name),
        ...(tag.description ? prose(tag.description) : []),
        ...tag.operations.map((operation) => operationView(api, operation, tokens)),
      ),
    ),
  );
  const bar = element(
    'div',
    { className: 'bar' },
    element('a', { href: '/', className: 'home' }, 'Roost'),
    menu,
    element('a', { href: '/openapi.json' }, 'openapi.json'),
  );
  root.replaceChildren(bar, element('div', { className: 'columns' }, navigation(api), main));
  window.addEventListener('hashchange', follow);
  follow();
}

const root = document.getElementById('docs');
show(root).catch((error) => root.replaceChildren(element('p', { className: 'splash' }, `The API's description can't be read: ${error.message}`)));
