// Sends what is in the outbox: one message at a time to each conversation, so that their order is kept, again and again until
// it is acknowledged or refused.

/** A send that was neither acknowledged nor refused by then is sent again on the same connection. */
const AGAIN_AFTER_MS = 10_000;
/** Refusals that pass by themselves. */
const PASSING = new Set(['unavailable', 'rate_limited', 'internal']);

export class Sender {
  #outbox;
  #send;
  #report;
  /** On their way: client_id (which is the frame's ref) → {entry, timer}. */
  #inFlight = new Map();

  /**
   * @param {object} owner
   * @param {() => import('./outbox.js').Outbox|null} owner.outbox
   * @param {(frame: object) => boolean} owner.send hands a frame to the connection, if it is ready
   * @param {(detail: object) => void} owner.report what became of an entry: {entry, state, ack?, error?}
   */
  constructor({ outbox, send, report }) {
    this.#outbox = outbox;
    this.#send = send;
    this.#report = report;
  }

  /** Sends what can be sent now. */
  flush() {
    const busy = new Set([...this.#inFlight.values()].map(({ entry }) => destination(entry)));
    for (const entry of this.#outbox()?.entries ?? []) {
      if (entry.error || busy.has(destination(entry))) continue;
      busy.add(destination(entry));
      this.#transmit(entry);
    }
  }

  /** The connection is gone, and with it any answer. */
  lost() {
    for (const { timer } of this.#inFlight.values()) clearTimeout(timer);
    this.#inFlight.clear();
  }

  acknowledged(ack) {
    const entry = this.#landed(ack.ref);
    if (!entry) return;
    this.#outbox()?.remove(entry.client_id);
    this.#report({ entry, state: 'sent', ack });
    this.flush();
  }

  refused(error) {
    const sending = this.#inFlight.get(error.ref);
    if (!sending) return;
    if (PASSING.has(error.code)) {
      const wait = error.retry_after_ms || 1000;
      this.#report({ entry: sending.entry, state: 'waiting', code: error.code, wait });
      return this.#again(sending.entry, wait);
    }
    const entry = this.#landed(error.ref);
    const reason = error.message || error.code;
    this.#outbox()?.update(entry.client_id, { error: reason });
    this.#report({ entry, state: 'failed', error: reason });
    this.flush();
  }

  #transmit(entry) {
    const frame = { type: 'send', ref: entry.client_id, client_id: entry.client_id, body: entry.body };
    if (entry.conversation) frame.conversation = entry.conversation;
    else frame.to = entry.to;
    if (this.#send(frame)) this.#again(entry, AGAIN_AFTER_MS);
  }

  /** Keeps the entry in flight for a while and then sends it again: with the same client_id, that is harmless. */
  #again(entry, ms) {
    clearTimeout(this.#inFlight.get(entry.client_id)?.timer);
    const timer = setTimeout(() => {
      this.#inFlight.delete(entry.client_id);
      this.flush();
    }, ms);
    this.#inFlight.set(entry.client_id, { entry, timer });
  }

  #landed(ref) {
    const sending = this.#inFlight.get(ref);
    if (!sending) return null;
    clearTimeout(sending.timer);
    this.#inFlight.delete(ref);
    return sending.entry;
  }
}

function destination(entry) {
  return entry.conversation ?? `to:${entry.to}`;
}
