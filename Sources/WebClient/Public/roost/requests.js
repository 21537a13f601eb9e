// Frames that are answered by an `ack` or an `error` with their `ref`, as promises. All of them may be sent twice without
// harm, so that what was under way when a connection broke is sent again on the next one.

import { newClientID } from './outbox.js';
import { RoostError } from './session.js';

const ANSWER_WITHIN_MS = 20_000;

export class Requests {
  #send;
  /** ref → {frame, resolve, reject, timer} */
  #open = new Map();

  /** @param {(frame: object) => boolean} send hands a frame to the connection, if there is one */
  constructor(send) {
    this.#send = send;
  }

  /** Sends a frame with a new `ref`. Resolves with its ack; rejects with a RoostError. */
  request(frame) {
    const ref = newClientID();
    return new Promise((resolve, reject) => {
      const sent = { ...frame, ref };
      if (!this.#send(sent)) return reject(offline());
      const timer = setTimeout(() => this.#settle(ref)?.reject(offline()), ANSWER_WITHIN_MS);
      this.#open.set(ref, { frame: sent, resolve, reject, timer });
    });
  }

  /** True if the frame was the answer to one of these. */
  answered(frame) {
    const open = this.#settle(frame.ref);
    if (!open) return false;
    if (frame.type === 'ack') open.resolve(frame);
    else {
      const { code, message, retry_after_ms: wait } = frame;
      open.reject(new RoostError({ status: 400, code, detail: message, retryAfter: wait ? wait / 1000 : null }));
    }
    return true;
  }

  /** There is a new connection. */
  again() {
    for (const { frame } of this.#open.values()) this.#send(frame);
  }

  /** Nobody is signed in any more. */
  end() {
    for (const ref of [...this.#open.keys()]) this.#settle(ref).reject(offline());
  }

  #settle(ref) {
    const open = this.#open.get(ref);
    if (!open) return null;
    clearTimeout(open.timer);
    this.#open.delete(ref);
    return open;
  }
}

function offline() {
  return new RoostError({ code: 'unavailable', detail: 'There is no connection to the server now.' });
}
