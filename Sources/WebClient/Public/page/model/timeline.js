// A stretch of a conversation's log as the page holds it: messages in their present state and what changed in the group.

/** Amendments kept, to be made again on pages that were read before them. */
const AMENDMENTS = 200;

export class Timeline {
  /** seq → item. An item that changes is replaced by another, so that a row can tell by identity. */
  #items = new Map();
  #seqs = new Map(); // id → seq
  #sorted = null;
  #amendments = [];
  /** Nothing older is left on the server. */
  complete = false;
  /** It reaches to the newest event, and live ones continue it. */
  live;
  loading = null;

  constructor({ live = true } = {}) {
    this.live = live;
  }

  /** Oldest first. */
  get items() {
    this.#sorted ??= [...this.#items.values()].sort((a, b) => a.seq - b.seq);
    return this.#sorted;
  }

  get size() {
    return this.#items.size;
  }

  get first() {
    return this.items[0];
  }

  get last() {
    return this.items.at(-1);
  }

  at(seq) {
    return this.#items.get(seq);
  }

  find(id) {
    return this.#items.get(this.#seqs.get(id));
  }

  /** Takes in a page of history. What was amended while it was under way is amended again. */
  take(items) {
    for (const item of items) this.#put(item);
    for (const event of this.#amendments) this.#amend(event);
  }

  /** What the other holds is part of this one. */
  join(other) {
    this.take(other.items);
    this.complete ||= other.complete && other.first?.seq === this.first?.seq;
    this.live ||= other.live;
  }

  /** An event of the log. */
  apply(event) {
    if (['edit', 'delete', 'reaction'].includes(event.kind)) {
      this.#amendments.push(event);
      if (this.#amendments.length > AMENDMENTS) this.#amendments.shift();
      this.#amend(event);
    } else if (this.live && !(this.#items.get(event.seq)?.deleted)) {
      const known = this.#items.get(event.seq);
      this.#put(known ? { ...known, ...event } : event);
    }
  }

  /** Those who are shown to have reacted, so that a click shows at once. */
  react(id, emoji, user, removed) {
    this.#amend({ kind: 'reaction', message: id, emoji, sender: user, removed });
  }

  #put(item) {
    if (!['message', 'member', 'group'].includes(item.kind)) return;
    this.#items.set(item.seq, item);
    this.#seqs.set(item.id, item.seq);
    this.#sorted = null;
  }

  #amend(event) {
    const item = this.find(event.message);
    const changed = item && amended(item, event);
    if (changed && changed !== item) this.#put(changed);
  }
}

/** The message after an edit, a deletion or a reaction. */
export function amended(item, event) {
  if (item.deleted) return item;
  switch (event.kind) {
    case 'edit':
      return event.body ? { ...item, body: event.body, edited_at: event.sent_at } : item;
    case 'delete':
      return { ...item, deleted: true, body: undefined, reactions: [] };
    case 'reaction':
      return { ...item, reactions: reacted(item.reactions ?? [], event) };
    default:
      return item;
  }
}

function reacted(reactions, { emoji, sender, removed }) {
  const known = reactions.find((reaction) => reaction.emoji === emoji);
  if (Boolean(known?.users.includes(sender)) !== Boolean(removed)) return reactions;
  if (!known) return [...reactions, { emoji, users: [sender] }];
  const users = removed ? known.users.filter((user) => user !== sender) : [...known.users, sender];
  const others = reactions.map((reaction) => (reaction === known ? { emoji, users } : reaction));
  return others.filter((reaction) => reaction.users.length > 0);
}
