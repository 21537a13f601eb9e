/** "Try it": a form for one operation, the call, and what came back. */

import { element } from '../page/dom.js';

/** What a long answer is cut to, so that the page stays usable. */
const SHOWN = 20_000;

/**
 * @param {ApiDocument} api
 * @param {object} operation
 * @param {{value(scheme: string): string, take(scheme: string, token: string): void}} tokens
 */
export function attemptForm(api, operation, tokens) {
  const inputs = new Map();
  const form = element('form', { className: 'attempt' });
  for (const parameter of operation.parameters) {
    const schema = api.resolve(parameter.schema);
    const required = Boolean(parameter.required);
    const input = element('input', {
      id: `${operation.id}-${parameter.name}`,
      name: parameter.name,
      required,
      autocomplete: 'off',
      spellcheck: false,
      placeholder: required ? '' : schema.default !== undefined ? String(schema.default) : 'left out',
    });
    inputs.set(parameter, input);
    form.append(
      element('label', { htmlFor: input.id }, element('code', {}, parameter.name), element('span', { className: 'type' }, parameter.in)),
      input,
    );
  }
  let body = null;
  if (operation.body) {
    const example = operation.body.example ?? api.example(operation.body.schema);
    body = element('textarea', {
      id: `${operation.id}-body`,
      rows: 2 + JSON.stringify(example, null, 2).split('\n').length,
      value: JSON.stringify(example, null, 2),
      spellcheck: false,
    });
    form.append(element('label', { htmlFor: body.id }, element('code', {}, 'body')), body);
  }
  const send = element('button', { className: 'primary', type: 'submit' }, 'Send');
  const result = element('div', { className: 'result', aria: { live: 'polite' } });
  form.append(element('div', { className: 'actions' }, send), result);

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    send.disabled = true;
    try {
      const call = request(operation, inputs, body, tokens);
      result.replaceChildren(await answer(call, tokens));
    } catch (error) {
      result.replaceChildren(element('p', { className: 'fault' }, `No answer: ${error.message}`));
    } finally {
      send.disabled = false;
    }
  });
  return form;
}

function request(operation, inputs, body, tokens) {
  let path = operation.path;
  const query = new URLSearchParams();
  for (const [parameter, input] of inputs) {
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    else if (input.value !== '') query.set(parameter.name, input.value);
  }
  const headers = {};
  const token = operation.scheme && tokens.value(operation.scheme);
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = 'application/json';
  const url = path + (query.size ? `?${query}` : '');
  return { method: operation.method.toUpperCase(), url, headers, body: body?.value };
}

/** Makes the call. An answer without an end (Server-Sent Events) is shown as far as it came in two seconds. */
async function answer(call, tokens) {
  const stop = new AbortController();
  const started = performance.now();
  const response = await fetch(call.url, {
    method: call.method,
    headers: call.headers,
    body: call.body,
    cache: 'no-store',
    signal: stop.signal,
  });
  let text = '';
  const endless = response.headers.get('content-type')?.startsWith('text/event-stream');
  const timer = endless ? setTimeout(() => stop.abort(), 2000) : null;
  try {
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader?.read(); part && !part.done; part = await reader.read()) text += part.value;
  } catch (error) {
    if (!endless) throw error;
  } finally {
    clearTimeout(timer);
  }
  const elapsed = Math.round(performance.now() - started);
  let shown = text;
  let token = null;
  try {
    const json = JSON.parse(text);
    shown = JSON.stringify(json, null, 2);
    token = json.access_token;
  } catch {
    // Not JSON: shown as it is.
  }
  if (shown.length > SHOWN) shown = `${shown.slice(0, SHOWN)}\n… ${shown.length - SHOWN} more characters`;
  const view = element(
    'div',
    {},
    element(
      'p',
      { className: 'status' },
      element('strong', { className: response.ok ? 'good' : 'fault' }, String(response.status)),
      ` in ${elapsed} ms`,
    ),
    shown ? element('pre', {}, shown) : null,
    element('details', {}, element('summary', {}, 'As a command'), element('pre', {}, command(call))),
  );
  if (token) {
    const take = element('button', { className: 'link', type: 'button' }, 'Use this token for the calls that follow');
    take.addEventListener('click', () => {
      tokens.take('bearer', token);
      take.replaceWith(element('span', { className: 'facts' }, 'The token is in use.'));
    });
    view.append(take);
  }
  return view;
}

function command({ method, url, headers, body }) {
  const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  const parts = [`curl -X ${method} ${quote(location.origin + url)}`];
  for (const [name, value] of Object.entries(headers)) parts.push(`-H ${quote(`${name}: ${value}`)}`);
  if (body) parts.push(`-d ${quote(body)}`);
  return parts.join(' \\\n  ');
}
