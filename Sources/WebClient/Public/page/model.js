// What the chat page knows: conversations with their messages, merged from REST, events and the outbox.

/** How long a typing signal is believed. */
const TYPING_MS = 6000;

/** @returns {object} a conversation with nothing known of it */
function blank(key, peer) {
  return {
    key,
    /** Set once the server knows the conversation. */
    id: null,
    peer,
    /** seq → message */
    messages: new Map(),
    head: 0,
    read: 0,
    unread: 0,
    peerDelivered: 0,
    peerRead: 0,
    /** Nothing older is left on the server. */
    complete: false,
    loading: null,
    typingUntil: 0,
    lastEvent: null,
  };
}

export class Chats extends EventTarget {
  #roost;
  #conversations = new Map();
  #presence = new Map();
  #reloading = null;
  loaded = false;

  constructor(roost) {
    super();
    this.#roost = roost;
    roost.addEventListener('event', ({ detail }) => this.#event(detail));
    roost.addEventListener('synced', () => this.reload());
    roost.addEventListener('outbox', ({ detail }) => this.#outbox(detail));
    roost.addEventListener('receipt', ({ detail }) => this.#receipt(detail));
    roost.addEventListener('typing', ({ detail }) => this.#typing(detail));
    roost.addEventListener('presence', ({ detail }) => {
      this.#presence.set(detail.user, detail);
      this.#changed();
    });
  }

  get me() {
    return this.#roost.user.id;
  }

  /** Newest first. */
  get list() {
    return [...this.#conversations.values()].sort((a, b) => lastTime(b, this.pending(b)) - lastTime(a, this.pending(a)));
  }

  get(key) {
    return this.#conversations.get(key);
  }

  presence(user) {
    return this.#presence.get(user);
  }

  /** The conversation with a user, which the server learns of with the first message. */
  withUser(user) {
    for (const conversation of this.#conversations.values()) {
      if (conversation.peer.id === user.id) return conversation;
    }
    const made = blank(`to:${user.id}`, user);
    made.complete = true;
    this.#conversations.set(made.key, made);
    this.#roost.watch([user.id]);
    return made;
  }

  /** Messages of this conversation that are still in the outbox, oldest first. */
  pending(conversation) {
    return this.#roost.outbox.filter((entry) =>
      entry.conversation ? entry.conversation === conversation.id : entry.to === conversation.peer.id,
    );
  }

  send(conversation, text) {
    if (conversation.id) this.#roost.send({ conversation: conversation.id, text });
    else this.#roost.send({ to: conversation.peer.id, text });
  }

  /** Marks all that is there as read. */
  markRead(conversation) {
    if (!conversation.id || conversation.head <= conversation.read) return;
    conversation.read = conversation.head;
    conversation.unread = 0;
    this.#roost.read(conversation.id, conversation.head);
    this.#changed();
  }

  isTyping(conversation) {
    return conversation.typingUntil > Date.now();
  }

  /** Fetches the list of conversations. Calls made meanwhile share it. */
  reload() {
    this.#reloading ??= this.#reload().finally(() => {
      this.#reloading = null;
    });
    return this.#reloading;
  }

  async #reload() {
    let cursor;
    do {
      const page = await this.#roost.conversations({ cursor });
      for (const item of page.items) if (item.kind === 'direct') this.#take(item);
      cursor = page.next;
    } while (cursor);
    this.loaded = true;
    this.#roost.watch([...this.#conversations.values()].map(({ peer }) => peer.id).slice(0, 500));
    this.#changed();
  }

  #take(item) {
    const conversation = this.#adopt(item.id, item.peer);
    conversation.peer = item.peer;
    conversation.head = Math.max(conversation.head, item.head);
    conversation.read = Math.max(conversation.read, item.read ?? 0);
    conversation.unread = item.unread ?? 0;
    conversation.peerDelivered = Math.max(conversation.peerDelivered, item.peer_delivered ?? 0);
    conversation.peerRead = Math.max(conversation.peerRead, item.peer_read ?? 0);
    if (item.last_event && item.last_event.seq >= (conversation.lastEvent?.seq ?? 0)) conversation.lastEvent = item.last_event;
  }

  /** Gives the conversation its id. One that was begun by writing to a user becomes it. */
  #adopt(id, peer) {
    const known = this.#conversations.get(id);
    if (known) return known;
    const begun = peer && this.#conversations.get(`to:${peer.id}`);
    const conversation = begun ?? blank(id, peer);
    if (begun) {
      this.#conversations.delete(begun.key);
      this.dispatchEvent(new CustomEvent('renamed', { detail: { from: begun.key, to: id } }));
    }
    conversation.key = id;
    conversation.id = id;
    this.#conversations.set(id, conversation);
    return conversation;
  }

  /** Loads older messages, a page at a time. */
  older(conversation) {
    if (!conversation.id || conversation.complete) return Promise.resolve();
    conversation.loading ??= this.#older(conversation).finally(() => {
      conversation.loading = null;
      this.#changed();
    });
    return conversation.loading;
  }

  async #older(conversation) {
    const first = Math.min(...conversation.messages.keys());
    const before = Number.isFinite(first) ? first : undefined;
    const page = await this.#roost.history(conversation.id, { before });
    for (const message of page.items) conversation.messages.set(message.seq, message);
    if (page.items.length === 0 || !page.next) conversation.complete = true;
  }

  #event(event) {
    const conversation = this.#conversations.get(event.conversation);
    if (!conversation) {
      // Somebody wrote for the first time: the list says who.
      this.reload();
      return;
    }
    if (event.kind === 'message') conversation.messages.set(event.seq, event);
    if (event.seq > conversation.head) {
      conversation.head = event.seq;
      conversation.lastEvent = event;
      if (event.sender === this.me) conversation.read = Math.max(conversation.read, event.seq);
      else if (event.kind === 'message' && event.seq > conversation.read) conversation.unread += 1;
    }
    if (event.sender !== this.me) conversation.typingUntil = 0;
    this.#changed();
  }

  #outbox({ entry, state, ack }) {
    if (state === 'sent') {
      const peer = entry.to ? this.#conversations.get(`to:${entry.to}`)?.peer : undefined;
      const conversation = this.#conversations.get(ack.conversation) ?? (peer && this.#adopt(ack.conversation, peer));
      if (conversation && !conversation.messages.has(ack.seq)) {
        const { conversation: id, seq, sent_at } = ack;
        const message = { conversation: id, seq, id: ack.id, kind: 'message', sender: this.me, sent_at, body: entry.body };
        conversation.messages.set(seq, message);
        if (seq > conversation.head) {
          conversation.head = seq;
          conversation.read = seq;
          conversation.lastEvent = message;
        }
      }
    }
    this.#changed();
  }

  #receipt({ conversation: id, user, delivered = 0, read = 0 }) {
    const conversation = this.#conversations.get(id);
    if (!conversation) return;
    if (user === this.me) {
      // Read on another of one's own devices.
      conversation.read = Math.max(conversation.read, read);
      if (conversation.read >= conversation.head) conversation.unread = 0;
    } else {
      conversation.peerDelivered = Math.max(conversation.peerDelivered, delivered, read);
      conversation.peerRead = Math.max(conversation.peerRead, read);
    }
    this.#changed();
  }

  #typing({ conversation: id, user, active }) {
    const conversation = this.#conversations.get(id);
    if (!conversation || user === this.me) return;
    conversation.typingUntil = active ? Date.now() + TYPING_MS : 0;
    if (active) setTimeout(() => this.#changed(), TYPING_MS + 50);
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event('change'));
  }
}

function lastTime(conversation, pending) {
  const last = pending.at(-1)?.written_at ?? conversation.lastEvent?.sent_at;
  return last ? Date.parse(last) : Number.MAX_SAFE_INTEGER;
}
