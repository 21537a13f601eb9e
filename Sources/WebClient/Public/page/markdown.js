// Markdown as chats write it: bold, italic, strike, code, links, quotes and lists. Text goes in, DOM nodes come out; what a
// message says reaches the page only as the text of nodes made here, so that no HTML of it ever does.
//
// Every step is linear in the text, whatever it holds: nesting is bounded (QUOTES, LISTS, OPENERS), so is the depth of what
// comes out, and nothing is looked for twice.

import { element } from './dom.js';

/** Longer than any message may be: shown as it stands. */
const LONGEST = 64 * 1024;
/** How deep quotes and lists nest; what is deeper is text. */
const QUOTES = 6;
const LISTS = 4;
/** How many openers (`**`, `[` …) may wait for their closer at a time; of more the oldest becomes text. */
const OPENERS = 16;

const TAGS = { '**': 'strong', __: 'strong', '*': 'em', _: 'em', '~~': 'del' };
const SPECIAL = /[\\`*_~[\]@\n]|https?:\/\//g;
const PLAIN_SPECIAL = /@|https?:\/\//g;
const WORD = /[\p{L}\p{N}]/u;
const PUNCTUATION = /[!-/:-@[-`{-~]/;

/**
 * A message's text as nodes.
 * @param {string} text
 * @param {object} [options]
 * @param {string} [options.format] 'markdown' or 'plain', where only links and mentions show as such
 * @param {Map<string, string>} [options.mentions] user name in lower case → the name to show
 * @returns {DocumentFragment}
 */
export function render(text, { format = 'plain', mentions = new Map() } = {}) {
  const fragment = document.createDocumentFragment();
  if (text.length > LONGEST) fragment.append(text);
  else fill(fragment, format === 'markdown' ? blocks(text.split('\n')) : inline(text, true), mentions);
  return fragment;
}

/** What a message says without its marks, for where there is room for a line only. */
export function plainText({ text = '', format } = {}) {
  if (format !== 'markdown' || text.length > LONGEST) return text;
  const words = (node) => {
    if (node.kind === 'break') return ' ';
    if (node.children) return node.children.map(words).join('') + (node.kind in ELEMENTS ? ' ' : '');
    return node.text;
  };
  return blocks(text.split('\n')).map(words).join(' ');
}

/** Does the text use any of the syntax, so that it should be sent as markdown? */
export function usesMarkdown(text) {
  if (text.length > LONGEST) return false;
  const marked = (node) =>
    !['text', 'url', 'mention', 'break', 'paragraph'].includes(node.kind) || (node.children ?? []).some(marked);
  return blocks(text.split('\n')).some(marked);
}

// Blocks. A node is {kind, text?, children?, …}.

/** Of a line without blanks at its end: with them, looking for the end would take quadratic time. */
const FENCE = /^ {0,3}```[ \t]*([\w+#.-]{0,32})$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( {0,8})([-*+]|\d{1,9}[.)]) +(?=\S)/;

function blocks(lines, quotes = 0, lists = 0) {
  const made = [];
  let paragraph = [];
  const flush = () => {
    if (paragraph.length > 0) made.push({ kind: 'paragraph', children: inline(paragraph.join('\n')) });
    paragraph = [];
  };
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    const item = lists < LISTS ? ITEM.exec(line) : null;
    if (FENCE.test(line.trimEnd())) {
      flush();
      const end = fenceEnd(lines, at);
      made.push({ kind: 'block', text: lines.slice(at + 1, end).join('\n') });
      at = end + 1;
    } else if (quotes < QUOTES && QUOTE.test(line)) {
      flush();
      const inside = [];
      for (; at < lines.length && QUOTE.test(lines[at]); at += 1) inside.push(lines[at].replace(QUOTE, ''));
      made.push({ kind: 'quote', children: blocks(inside, quotes + 1, lists) });
    } else if (item) {
      flush();
      const list = takeList(lines, at, item, quotes, lists);
      made.push(list.node);
      at = list.next;
    } else {
      if (line.trim() === '') flush();
      else paragraph.push(line);
      at += 1;
    }
  }
  flush();
  return made;
}

/** The line that closes a fence; without one the code goes on to the end. */
function fenceEnd(lines, start) {
  let end = start + 1;
  while (end < lines.length && !/^ {0,3}```[ \t]*$/.test(lines[end])) end += 1;
  return end;
}

function takeList(lines, start, first, quotes, lists) {
  const ordered = /\d/.test(first[2]);
  const indent = first[1].length;
  const items = [];
  let at = start;
  for (; at < lines.length; at += 1) {
    const item = ITEM.exec(lines[at]);
    if (item && item[1].length <= indent + 1) {
      if (/\d/.test(item[2]) !== ordered || item[1].length < indent) break;
      items.push([lines[at].slice(item[0].length)]);
    } else if (/^ {2,}\S/.test(lines[at])) {
      items.at(-1).push(lines[at].slice(Math.min(indent + 2, lines[at].search(/\S/))));
    } else {
      break;
    }
  }
  const children = items.map((inside) => ({ kind: 'item', children: blocks(inside, quotes, lists + 1) }));
  return { node: { kind: ordered ? 'ordered' : 'bulleted', start: ordered ? parseInt(first[2], 10) : 1, children }, next: at };
}

// What is within a line

/** @param {boolean} plain only links and mentions */
function inline(text, plain = false) {
  const out = [];
  const openers = []; // {marker, at: the opener's place in `out`}
  const ticks = plain ? null : tickRuns(text);
  const special = plain ? PLAIN_SPECIAL : SPECIAL;
  const say = (words) => {
    if (words === '') return;
    if (out.at(-1)?.kind === 'text' && !out.at(-1).opener) out.at(-1).text += words;
    else out.push({ kind: 'text', text: words });
  };
  const open = (marker) => {
    if (openers.length === OPENERS) openers.shift();
    openers.push({ marker, at: out.length });
    out.push({ kind: 'text', text: marker, opener: true });
  };
  /** Makes what follows an opener its content; openers in between stay text. */
  const close = (opener, node) => {
    const children = out.splice(opener.at).slice(1);
    openers.length = openers.indexOf(opener);
    out.push({ ...node, children });
  };

  let at = 0;
  while (at < text.length) {
    special.lastIndex = at;
    const found = special.exec(text);
    if (!found) break;
    say(text.slice(at, found.index));
    at = found.index;
    const sign = text[at];
    const before = text[at - 1] ?? '';
    if (sign === 'h') {
      const { url, length } = WORD.test(before) ? { url: null, length: 1 } : bareURL(text, at);
      if (url) out.push({ kind: 'url', text: url });
      else say(text.slice(at, at + length));
      at += length;
    } else if (sign === '@') {
      const name = WORD.test(before) ? null : /@[a-z0-9_.-]{3,32}/iy;
      if (name) name.lastIndex = at;
      const mention = name?.exec(text)?.[0];
      if (mention) out.push({ kind: 'mention', text: mention });
      else say('@');
      at += mention ? mention.length : 1;
    } else if (sign === '\n') {
      out.push({ kind: 'break' });
      at += 1;
    } else if (sign === '\\') {
      const escaped = PUNCTUATION.test(text[at + 1] ?? '');
      say(escaped ? text[at + 1] : '\\');
      at += escaped ? 2 : 1;
    } else if (sign === '`') {
      const run = runLength(text, at);
      const end = ticks.closing(run, at + run);
      if (end === null) say(text.slice(at, at + run));
      else out.push({ kind: 'code', text: text.slice(at + run, end).replaceAll('\n', ' ') });
      at = end === null ? at + run : end + run;
    } else if (sign === '[') {
      const earlier = openers.findIndex(({ marker }) => marker === '[');
      if (earlier >= 0) openers.splice(earlier, 1); // links do not nest
      open('[');
      at += 1;
    } else if (sign === ']') {
      const opener = openers.findLast(({ marker }) => marker === '[');
      const target = opener && text[at + 1] === '(' ? linkTarget(text, at + 2) : null;
      const href = target && safeURL(target.text);
      if (href && opener.at + 1 < out.length) {
        close(opener, { kind: 'link', href });
        at = target.end;
      } else {
        if (opener) openers.splice(openers.indexOf(opener), 1);
        say(']');
        at += 1;
      }
    } else {
      at = emphasis(text, at, { openers, open, close, say });
    }
  }
  say(text.slice(at));
  return out;
}

/** A run of `*`, `_` or `~`: closes what it can, opens with the rest. Answers where the text goes on. */
function emphasis(text, at, { openers, open, close, say }) {
  const sign = text[at];
  const run = runLength(text, at);
  const before = text[at - 1] ?? ' ';
  const after = text[at + run] ?? ' ';
  // Within a word these are letters: snake_case, 2*3*4.
  const opens = !/\s/.test(after) && !WORD.test(before);
  const closes = !/\s/.test(before) && !WORD.test(after);
  let left = run;
  if (run > 3 || (sign === '~' && run !== 2)) {
    say(text.slice(at, at + run));
    return at + run;
  }
  while (closes && left > 0) {
    const opener = openers.findLast(({ marker }) => marker[0] === sign && marker.length <= left);
    if (!opener) break;
    close(opener, { kind: 'emphasis', tag: TAGS[opener.marker] });
    left -= opener.marker.length;
  }
  if (opens) {
    if (left >= 2) open(sign + sign);
    if (left % 2 === 1) open(sign);
  } else {
    say(sign.repeat(left));
  }
  return at + run;
}

function runLength(text, at) {
  let end = at + 1;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

/** Where runs of backticks are, by their length; asked from left to right. */
function tickRuns(text) {
  const runs = new Map();
  for (const { 0: run, index } of text.matchAll(/`+/g)) {
    if (!runs.has(run.length)) runs.set(run.length, { places: [], next: 0 });
    runs.get(run.length).places.push(index);
  }
  return {
    /** The first run of this length at or after `from`, or null. */
    closing(length, from) {
      const known = runs.get(length);
      if (!known) return null; // an escape took part of the run
      while (known.next < known.places.length && known.places[known.next] < from) known.next += 1;
      return known.places[known.next] ?? null;
    },
  };
}

/** The URL that begins here, without the punctuation that ends the sentence around it; null if what is there is none. */
function bareURL(text, at) {
  const pattern = /https?:\/\/[^\s<>"`[\]\u0000-\u001f]*/y;
  pattern.lastIndex = at;
  const whole = pattern.exec(text)[0];
  let end = whole.length;
  let surplus = count(whole, ')') - count(whole, '(');
  while (end > 0) {
    const last = whole[end - 1];
    if (last === ')' && surplus > 0) surplus -= 1;
    else if (!".,:;!?'*_~}".includes(last)) break;
    end -= 1;
  }
  const url = whole.slice(0, end);
  return safeURL(url) ? { url, length: end } : { url: null, length: whole.length };
}

/** What stands in the round brackets of a link, which may hold a pair of their own. */
function linkTarget(text, at) {
  const pattern = /(?:[^\s()[\]<>\u0000-\u001f]|\([^\s()[\]<>\u0000-\u001f]*\))+(?=\))/y;
  pattern.lastIndex = at;
  const target = pattern.exec(text)?.[0];
  return target ? { text: target, end: at + target.length + 1 } : null;
}

/** The address if it is one that a page may lead to, else null. */
function safeURL(text) {
  if (!/^(https?:\/\/|mailto:)/i.test(text)) return null;
  try {
    const url = new URL(text);
    return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function count(text, sign) {
  return text.split(sign).length - 1;
}

// Nodes of the page

const ELEMENTS = { paragraph: 'p', quote: 'blockquote', bulleted: 'ul', item: 'li' };

function build(node, mentions) {
  switch (node.kind) {
    case 'text': return document.createTextNode(node.text);
    case 'break': return element('br');
    case 'code': return element('code', { textContent: node.text });
    case 'block': return element('pre', {}, element('code', { textContent: node.text }));
    case 'ordered': return fill(element('ol', { start: node.start }), node.children, mentions);
    case 'emphasis': return fill(element(node.tag), node.children, mentions);
    case 'mention': return mention(node.text, mentions);
    case 'url': return anchor(safeURL(node.text), [{ kind: 'text', text: node.text }], mentions);
    case 'link': return anchor(node.href, node.children.map(unlinked), mentions);
    default: return fill(element(ELEMENTS[node.kind]), node.children, mentions);
  }
}

/** One by one: there may be more of them than a call takes arguments. */
function fill(parent, nodes, mentions) {
  for (const node of nodes) parent.append(build(node, mentions));
  return parent;
}

function anchor(href, children, mentions) {
  return fill(element('a', { href, title: href, target: '_blank', rel: 'noopener noreferrer' }), children, mentions);
}

/** A link's own text holds no other link. */
function unlinked(node) {
  if (node.kind === 'url' || node.kind === 'link') return { kind: 'text', text: node.text ?? '' };
  return node.children ? { ...node, children: node.children.map(unlinked) } : node;
}

/** `@name` where it is somebody who was mentioned; a full stop after the name ends the sentence. */
function mention(text, mentions) {
  for (let end = text.length; end > 3; end -= 1) {
    const name = mentions.get(text.slice(1, end).toLowerCase());
    if (name) {
      const made = document.createDocumentFragment();
      made.append(element('span', { className: 'mention', title: name, textContent: text.slice(0, end) }), text.slice(end));
      return made;
    }
    if (!/[.-]/.test(text[end - 1])) break;
  }
  return document.createTextNode(text);
}
