// All conversations of the user, merged from REST, the log's events and the outbox. Emits `change` when anything is to be
// shown anew, and `renamed` {from, to} when the server has given a conversation its id.

import { Conversation } from './conversation.js';
import { Drafts } from './drafts.js';
import { History } from './history.js';
import { groupEvent, memberEvent } from './membership.js';
import { People } from './people.js';

export class Chats extends EventTarget {
  #roost;
  #conversations = new Map();
  #reloading = null;
  loaded = false;

  constructor(roost) {
    super();
    this.#roost = roost;
    this.people = new People(roost, () => this.changed());
    this.drafts = new Drafts(localStorage, roost.user.id);
    this.history = new History(roost.api, () => this.changed());
    const on = (name, take) => roost.addEventListener(name, ({ detail }) => take(detail));
    on('event', (event) => this.#event(event));
    on('synced', () => this.reload().catch(() => {}));
    on('outbox', (detail) => this.#outbox(detail));
    on('receipt', (frame) => this.#receipt(frame));
    on('typing', (frame) => this.#typing(frame));
    on('muted', (frame) => this.#muted(frame));
    on('profile', () => this.changed());
  }

  get me() {
    return this.#roost.user?.id;
  }

  /** Newest first. */
  get list() {
    return [...this.#conversations.values()].sort((a, b) => this.#lastTime(b) - this.#lastTime(a));
  }

  /** Unread messages of all that is not muted. */
  get unread() {
    return this.list.reduce((sum, { muted, unread, mentions }) => sum + (muted ? mentions : unread), 0);
  }

  get(key) {
    return this.#conversations.get(key);
  }

  /** The conversation with a user, which the server learns of with the first message. */
  withUser(user) {
    for (const conversation of this.#conversations.values()) if (conversation.peer?.id === user.id) return conversation;
    const made = new Conversation(`to:${user.id}`, 'direct', { peer: user });
    made.recent.complete = true;
    this.#conversations.set(made.key, made);
    this.people.add(user);
    this.people.watch([user.id]);
    return made;
  }

  /** A group that the user has just made or joined. */
  withGroup(group) {
    const known = this.#conversations.get(group.conversation);
    const made = known ?? new Conversation(group.conversation, 'group', { group });
    made.id = group.conversation;
    made.group = { ...made.group, ...group };
    made.gone = null;
    this.#conversations.set(made.key, made);
    this.reload().catch(() => {});
    this.changed();
    return made;
  }

  /** Messages of this conversation that are still in the outbox, oldest first. */
  pending(conversation) {
    return this.#roost.outbox.filter((entry) =>
      entry.conversation ? entry.conversation === conversation.id : entry.to === conversation.peer?.id,
    );
  }

  /** @param {{text: string, format?: string, replyTo?: string, mentions?: string[]}} message */
  send(conversation, message) {
    const to = conversation.id ? { conversation: conversation.id } : { to: conversation.peer.id };
    this.#roost.send({ ...to, ...message });
  }

  /** Marks all that is there as read. */
  markRead(conversation) {
    if (!conversation.id || conversation.head <= conversation.read) return;
    if (!this.#roost.read(conversation.id, conversation.head)) return;
    this.#setRead(conversation, conversation.head);
    this.changed();
  }

  /** Sets or takes back the user's reaction; shown at once, and undone if the server refuses it. */
  async react(conversation, item, emoji) {
    const remove = Boolean(item.reactions?.find((reaction) => reaction.emoji === emoji)?.users.includes(this.me));
    const show = (removed) => {
      for (const line of [conversation.recent, conversation.around]) line?.react(item.id, emoji, this.me, removed);
      this.changed();
    };
    show(remove);
    try {
      await this.#roost.react({ conversation: conversation.id, message: item.id, emoji, remove });
    } catch (error) {
      show(!remove);
      throw error;
    }
  }

  async mute(conversation, until) {
    await this.#roost.api.mute(conversation.kind, conversation.id, until);
    this.#muted({ conversation: conversation.id, until });
  }

  async loadMembers(conversation) {
    const members = [];
    let cursor;
    do {
      const page = await this.#roost.api.members(conversation.group.id, { cursor });
      for (const { user, role } of page.items) {
        this.people.add(user);
        members.push({ user: user.id, role });
      }
      cursor = page.next;
    } while (cursor && members.length < 1000);
    conversation.members = members;
    if (!cursor) conversation.group = { ...conversation.group, member_count: members.length };
    this.changed();
  }

  /** Where the members of a small group are, as far as its newest own message tells. */
  async loadReceipts(conversation) {
    const newest = conversation.recent.items.findLast((item) => item.kind === 'message' && item.sender === this.me);
    if (!newest || newest.deleted) return;
    const found = await this.#roost.api.receipts(conversation.kind, conversation.id, newest.id);
    for (const user of found.delivered) conversation.advance(user, { delivered: newest.seq });
    for (const user of found.read) conversation.advance(user, { read: newest.seq });
    this.changed();
  }

  /** Fetches the lists of conversations. Calls made meanwhile share it. */
  reload() {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = null;
    });
    return this.#reloading;
  }

  async #reload() {
    const results = await Promise.allSettled([this.#reloadKind('direct'), this.#reloadKind('group')]);
    const peers = this.list.filter(({ peer, gone }) => peer && !gone).map(({ peer }) => peer.id);
    this.people.watch(peers);
    if (results.some(({ status }) => status === 'fulfilled')) this.loaded = true;
    this.changed();
    for (const user of this.drafts.begun) {
      if (!this.get(`to:${user}`)) this.#roost.api.user(user).then((found) => this.withUser(found)).catch(() => {});
    }
    const failed = results.find(({ status }) => status === 'rejected');
    if (failed) throw failed.reason;
  }

  async #reloadKind(kind) {
    let cursor;
    do {
      const page = await this.#roost.api.conversations(kind, { cursor });
      for (const item of page.items) {
        const conversation = this.#adopt(item.id, kind, item);
        conversation.take(item);
        if (item.peer) this.people.add(item.peer);
      }
      cursor = page.next;
    } while (cursor);
  }

  /** Gives the conversation its id. One that was begun by writing to a user becomes it. */
  #adopt(id, kind, { peer, group }) {
    const known = this.#conversations.get(id);
    if (known) return known;
    const begun = peer && this.#conversations.get(`to:${peer.id}`);
    const conversation = begun ?? new Conversation(id, kind, { peer, group });
    if (begun) {
      this.#conversations.delete(begun.key);
      this.drafts.move(begun.key, id);
      this.dispatchEvent(new CustomEvent('renamed', { detail: { from: begun.key, to: id } }));
    }
    conversation.key = id;
    conversation.id = id;
    this.#conversations.set(id, conversation);
    return conversation;
  }

  #event(event) {
    const conversation = this.#conversations.get(event.conversation);
    if (!conversation) {
      // Somebody wrote for the first time, or took the user into a group: the list says who.
      this.reload().catch(() => {});
      return;
    }
    conversation.apply(event);
    // What comes again after a reconnect, REST's list has said already.
    if (event.seq > conversation.head) {
      if (event.kind === 'member' && memberEvent(conversation, event, this.me)) this.reload().catch(() => {});
      if (event.kind === 'group') groupEvent(conversation, event);
      conversation.head = event.seq;
      conversation.lastEvent = event;
      if (event.sender === this.me) conversation.read = Math.max(conversation.read, event.seq);
      else if (event.kind === 'message' && event.seq > conversation.read) {
        conversation.unread += 1;
        if (event.body?.mentions?.includes(this.me)) conversation.mentions += 1;
      }
    }
    conversation.setTyping(event.sender, false);
    this.changed();
  }

  #outbox({ entry, state, ack }) {
    if (state === 'sent') {
      const peer = entry.to ? this.#conversations.get(`to:${entry.to}`)?.peer : undefined;
      const conversation =
        this.#conversations.get(ack.conversation) ?? (peer && this.#adopt(ack.conversation, 'direct', { peer }));
      if (conversation && !conversation.recent.at(ack.seq)) {
        const { conversation: id, seq, sent_at } = ack;
        const message = { conversation: id, seq, id: ack.id, kind: 'message', sender: this.me, sent_at, body: entry.body };
        conversation.recent.apply(message);
        if (seq > conversation.head) Object.assign(conversation, { head: seq, read: seq, lastEvent: message, unread: 0, mentions: 0 });
      }
    }
    this.changed();
  }

  #receipt({ conversation: id, user, delivered = 0, read = 0 }) {
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    if (user === this.me) this.#setRead(conversation, read);
    else conversation.advance(user, { delivered, read });
    this.changed();
  }

  /** Read here, or on another of one's own devices. */
  #setRead(conversation, seq) {
    if (seq <= conversation.read) return;
    conversation.read = seq;
    const left = conversation.recent.items.filter(
      (item) => item.kind === 'message' && item.seq > seq && item.sender !== this.me,
    );
    conversation.unread = seq >= conversation.head ? 0 : left.length;
    conversation.mentions = left.filter((item) => item.body?.mentions?.includes(this.me)).length;
  }

  #typing({ conversation: id, user, active }) {
    const conversation = this.#conversations.get(id);
    if (!conversation || user === this.me) return;
    const wait = conversation.setTyping(user, active);
    if (wait) setTimeout(() => this.changed(), wait);
    this.changed();
  }

  #muted({ conversation: id, until }) {
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    conversation.muted = Boolean(until) && Date.parse(until) > Date.now();
    conversation.mutedUntil = conversation.muted ? until : null;
    this.changed();
  }

  #lastTime(conversation) {
    const last = this.pending(conversation).at(-1)?.written_at ?? conversation.lastEvent?.sent_at;
    return last ? Date.parse(last) : Number.MAX_SAFE_INTEGER;
  }

  changed() {
    this.dispatchEvent(new Event('change'));
  }
}
