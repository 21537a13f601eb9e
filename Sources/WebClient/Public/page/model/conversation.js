// One conversation: what the list and the pane show of it.

import { nameOf } from '../avatar.js';
import { Timeline } from './timeline.js';

/** How long a typing signal is believed. */
const TYPING_MS = 6000;

export class Conversation {
  /** How the page names it: its id, or `to:USER` until the server knows it. */
  key;
  id = null;
  kind;
  /** direct: the other; group: {id, name, about, visibility, role, member_count} */
  peer = null;
  group = null;
  head = 0;
  read = 0;
  unread = 0;
  mentions = 0;
  muted = false;
  mutedUntil = null;
  lastEvent = null;
  /** Where its members are: user → {delivered, read}. */
  cursors = new Map();
  /** Why the user is no longer in it: 'left', 'removed', 'banned' or 'deleted'. */
  gone = null;
  /** group: [{user, role}] once asked for */
  members = null;
  /** The newest messages. */
  recent = new Timeline();
  /** Those around a message that was jumped to, far from the newest; null while these are shown. */
  around = null;
  #typing = new Map();

  constructor(key, kind, { peer = null, group = null } = {}) {
    Object.assign(this, { key, kind, peer, group });
  }

  get isGroup() {
    return this.kind === 'group';
  }

  get subject() {
    return this.group ?? this.peer;
  }

  get name() {
    return nameOf(this.subject);
  }

  get role() {
    return this.gone ? null : (this.group?.role ?? null);
  }

  /** May the user change the group and its members? */
  get manages() {
    return this.role === 'admin' || this.role === 'owner';
  }

  get timeline() {
    return this.around ?? this.recent;
  }

  item(id) {
    return this.recent.find(id) ?? this.around?.find(id);
  }

  apply(event) {
    this.recent.apply(event);
    this.around?.apply(event);
  }

  /** What everybody else is known to have: for a group only once all of them are known. */
  others(field) {
    if (!this.isGroup) return this.cursors.get(this.peer.id)?.[field] ?? 0;
    const others = (this.group.member_count ?? 0) - 1;
    if (others < 1 || this.cursors.size < others) return 0;
    return Math.min(...[...this.cursors.values()].map((cursor) => cursor[field]));
  }

  advance(user, { delivered = 0, read = 0 }) {
    const known = this.cursors.get(user) ?? { delivered: 0, read: 0 };
    this.cursors.set(user, { delivered: Math.max(known.delivered, delivered, read), read: Math.max(known.read, read) });
  }

  /** Who is writing now. */
  get typing() {
    const now = Date.now();
    return [...this.#typing].filter(([, until]) => until > now).map(([user]) => user);
  }

  /** Answers how long to wait until it is no longer believed, or 0. */
  setTyping(user, active) {
    if (active) this.#typing.set(user, Date.now() + TYPING_MS);
    else this.#typing.delete(user);
    return active ? TYPING_MS + 50 : 0;
  }

  /** What REST's list of conversations says. */
  take(item) {
    this.id = item.id;
    if (item.peer) this.peer = { ...this.peer, ...item.peer };
    if (item.group) this.group = { ...this.group, ...item.group };
    this.head = Math.max(this.head, item.head);
    // What was read here and is on its way to the server counts already.
    if ((item.read ?? 0) >= this.read) {
      this.read = item.read ?? 0;
      this.unread = item.unread ?? 0;
      this.mentions = item.mentions ?? 0;
    }
    this.muted = Boolean(item.muted);
    this.mutedUntil = item.muted_until ?? null;
    this.gone = null;
    if (this.peer) this.advance(this.peer.id, { delivered: item.peer_delivered, read: item.peer_read });
    if (item.last_event && item.last_event.seq >= (this.lastEvent?.seq ?? 0)) this.lastEvent = item.last_event;
  }
}
