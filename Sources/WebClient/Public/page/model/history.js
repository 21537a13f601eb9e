// Loads pages of history into conversations: older ones, newer ones, those around a message.

import { Timeline } from './timeline.js';

const PAGE = 50;
/** How many pages are read, at most, to find a message that was answered. */
const FIND_PAGES = 40;

export class History {
  #api;
  #changed;

  constructor(api, changed) {
    this.#api = api;
    this.#changed = changed;
  }

  /** Loads a page before what is shown. Calls made meanwhile share it. */
  older(conversation, timeline = conversation.timeline) {
    if (!conversation.id || timeline.complete) return Promise.resolve();
    return this.#once(timeline, async () => {
      const before = timeline.first?.seq;
      const page = await this.#api.history(conversation.kind, conversation.id, { before, limit: PAGE });
      timeline.take(page.items);
      if (page.items.length === 0 || !page.next) timeline.complete = true;
    });
  }

  /** Loads a page after what is shown, until that meets the newest messages. */
  newer(conversation) {
    const { around } = conversation;
    if (!around || !conversation.id) return Promise.resolve();
    return this.#once(around, async () => {
      const page = await this.#api.history(conversation.kind, conversation.id, { after: around.last?.seq ?? 0, limit: PAGE });
      around.take(page.items);
      const met = conversation.recent.first && around.last?.seq >= conversation.recent.first.seq;
      if (!met && page.next) return;
      around.join(conversation.recent);
      around.live = true;
      if (conversation.around === around) Object.assign(conversation, { recent: around, around: null });
    });
  }

  /** Shows what is around a message. */
  async jump(conversation, seq) {
    if (conversation.timeline.at(seq)) return;
    if (conversation.recent.at(seq)) {
      conversation.around = null;
      return;
    }
    const { kind, id } = conversation;
    const [before, after] = await Promise.all([
      this.#api.history(kind, id, { before: seq, limit: 25 }),
      this.#api.history(kind, id, { after: seq - 1, limit: 25 }),
    ]);
    const around = new Timeline({ live: false });
    around.take([...before.items, ...after.items]);
    around.complete = before.items.length === 0 || !before.next;
    const { first } = conversation.recent;
    if (!after.next || (first && around.last?.seq >= first.seq)) {
      around.join(conversation.recent);
      around.live = true;
      Object.assign(conversation, { recent: around, around: null });
    } else {
      conversation.around = around;
    }
    this.#changed();
  }

  /** Reads back until a message is there. Answers it, or null. */
  async find(conversation, id) {
    for (let pages = 0; pages < FIND_PAGES; pages += 1) {
      const item = conversation.timeline.find(id);
      if (item || conversation.timeline.complete) return item ?? null;
      await this.older(conversation);
    }
    return null;
  }

  #once(timeline, load) {
    timeline.loading ??= load().finally(() => {
      timeline.loading = null;
      this.#changed();
    });
    return timeline.loading;
  }
}
