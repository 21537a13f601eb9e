// The rows of a conversation: days, messages, what changed in the group, the line above what is new. A row that shows the same
// as before stays the same element.

import { button, element } from '../dom.js';
import { plainText } from '../markdown.js';
import { dayName, timeOfDay } from '../time.js';
import { systemLine } from '../wording.js';
import { bubble } from './bubble.js';

/** Messages of one sender within this time belong together. */
const RUN_MS = 5 * 60_000;
/** Names looked up for one message. */
const MENTIONS = 20;

export class Rows {
  #chats;
  #context;
  /** key → {shows, element} */
  #kept = new Map();

  /** @param {object} context what rows can ask for: {act, react, jump, retry, discard} */
  constructor(chats, context) {
    this.#chats = chats;
    this.#context = { ...context, people: chats.people, me: chats.me };
  }

  /** Another conversation is shown. */
  clear() {
    this.#kept.clear();
  }

  /**
   * @param {import('../model/conversation.js').Conversation} conversation
   * @param {number|null} newAfter the seq above which messages are new to the reader
   * @returns {Element[]}
   */
  make(conversation, newAfter) {
    const { me, people } = this.#context;
    const used = new Map();
    const rows = [];
    const row = (key, shows, make) => {
      const kept = this.#kept.get(key);
      const same = kept && kept.shows.length === shows.length && shows.every((value, at) => value === kept.shows[at]);
      const entry = same ? kept : { shows, element: make() };
      used.set(key, entry);
      rows.push(entry.element);
    };
    const { timeline } = conversation;
    const start = timeline.complete ? 'start' : 'more';
    row(start, [timeline.complete], () =>
      element('li', { className: 'more', data: { key: start }, textContent: timeline.complete ? '' : 'Loading earlier messages…', hidden: timeline.complete }),
    );
    let day = null;
    let last = null;
    let group = null;
    let fresh = newAfter !== null && (timeline.complete || timeline.first?.seq <= newAfter);
    const heading = (when) => {
      const name = dayName(when);
      if (name !== day) row(`day ${name}`, [name], () => element('li', { className: 'day', data: { key: `day ${name}` } }, element('span', { textContent: name })));
      if (name !== day) last = null;
      day = name;
    };
    for (const item of timeline.items) {
      heading(item.sent_at);
      if (fresh && item.seq > newAfter && item.sender !== me && item.kind === 'message') {
        row('new', [], () => element('li', { className: 'new', data: { key: 'new' } }, element('span', { textContent: 'New messages' })));
        fresh = false;
        last = null;
      }
      if (item.kind === 'message') {
        this.#message(conversation, item, row, last);
        last = item;
        continue;
      }
      // Whoever makes a group is its first member: that goes without saying.
      if (item.seq === 2 && item.change === 'joined' && item.user === item.sender) continue;
      const before = group ?? (item.seq <= 1 ? null : undefined);
      row(`s${item.seq}`, [item, before, people.version], () => this.#system(item, before));
      if (item.kind === 'group') group = item.group;
      last = null;
    }
    for (const entry of conversation.around ? [] : this.#chats.pending(conversation)) {
      heading(entry.written_at);
      const quoted = this.#quoted(conversation, entry);
      row(entry.client_id, [entry.error, quoted?.text, people.version], () => this.#unsent(conversation, entry, quoted));
    }
    this.#kept = used;
    return rows;
  }

  #message(conversation, item, row, last) {
    const { me, people } = this.#context;
    const own = item.sender === me;
    const first = !last || last.sender !== item.sender || Date.parse(item.sent_at) - Date.parse(last.sent_at) > RUN_MS;
    const tick = own && !item.deleted ? tickOf(conversation, item) : null;
    const quoted = this.#quoted(conversation, item);
    const shows = [item, first, tick?.[0], quoted?.text, quoted?.author, people.version];
    row(`s${item.seq}`, shows, () =>
      bubble(
        {
          item,
          own,
          first,
          sender: conversation.isGroup && !own ? people.get(item.sender) : null,
          quoted,
          tick,
          mentions: this.#mentions(item),
        },
        this.#context,
      ),
    );
  }

  #unsent(conversation, entry, quoted) {
    const tick = entry.error ? ['failed', '!', 'Not sent'] : ['waiting', '◷', 'Waiting to be sent'];
    const made = bubble(
      { item: entry, own: true, first: false, sender: null, quoted, tick, mentions: this.#mentions(entry) },
      { ...this.#context, act: null },
    );
    if (entry.error) {
      const { retry, discard } = this.#context;
      made.append(
        element(
          'p',
          { className: 'refusal', role: 'alert' },
          `Not sent: ${entry.error} `,
          button('Try again', { className: 'link', on: () => retry(entry.client_id) }),
          ' ',
          button('Discard', { className: 'link', on: () => discard(entry.client_id) }),
        ),
      );
    }
    return made;
  }

  #quoted(conversation, { body }) {
    const id = body?.reply_to;
    if (!id) return null;
    const item = conversation.item(id);
    if (!item) return { id, author: 'An earlier message', text: 'Show it' };
    const { me, people } = this.#context;
    return {
      id,
      author: item.sender === me ? 'You' : people.name(item.sender),
      text: item.deleted ? 'This message was deleted.' : plainText(item.body),
    };
  }

  #mentions({ body }) {
    const { people } = this.#context;
    // Who is named is asked for by a call each: no more of them than the text can name.
    const named = Math.min((body?.text ?? '').split('@').length - 1, MENTIONS);
    const mentioned = (body?.mentions ?? []).slice(0, named).map((id) => people.get(id));
    return new Map(mentioned.filter(({ username }) => username).map((user) => [user.username.toLowerCase(), user.display_name || user.username]));
  }

  #system(item, before) {
    const text = systemLine(item, { ...this.#context, before });
    return element(
      'li',
      { className: 'system', data: { key: `s${item.seq}`, seq: String(item.seq) } },
      element('span', { className: 'what', textContent: text }),
      ' ',
      element('time', { dateTime: item.sent_at, textContent: timeOfDay(item.sent_at) }),
    );
  }
}

function tickOf(conversation, { seq }) {
  if (seq <= conversation.others('read')) return ['read', '✓✓', conversation.isGroup ? 'Read by all' : 'Read'];
  if (seq <= conversation.others('delivered')) return ['delivered', '✓✓', conversation.isGroup ? 'Delivered to all' : 'Delivered'];
  return ['sent', '✓', 'Sent'];
}
