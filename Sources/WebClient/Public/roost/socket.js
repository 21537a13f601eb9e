// One WebSocket connection to some chat node that comes back by itself: full-jitter back-off, goaway, heartbeats.

const SUBPROTOCOL = 'roost.v1.json';
const BACKOFF_FIRST_MS = 300;
const BACKOFF_LIMIT_MS = 20_000;
/** A connect that has not been welcomed by then is given up. */
const WELCOME_TIMEOUT_MS = 10_000;

/** Close codes after which the session itself has to be looked at before another try. */
const SESSION_ENDED = 4401;
const CLOSED_BY_OPERATOR = 4403;

/**
 * Calls made to its owner:
 * - `address()` → Promise of the URL with a fresh ticket
 * - `hello()` → the hello frame
 * - `frame(frame)` for each frame received
 * - `state(name, {retryAt, reason})` with name `connecting`, `online`, `waiting`, `stopped`
 * - `refused(error)` → true to stop trying
 */
export class Socket {
  #owner;
  #socket = null;
  #wanted = false;
  #attempt = 0;
  #timer = null;
  #heartbeat = null;
  #lastHeard = 0;
  #moveTo = null;
  #generation = 0;

  constructor(owner) {
    this.#owner = owner;
    globalThis.addEventListener?.('online', () => this.#hurry());
    globalThis.document?.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.#hurry();
    });
    // A page that was left may be kept for the way back, with its connection open and nobody there.
    globalThis.addEventListener?.('pagehide', () => {
      clearTimeout(this.#timer);
      this.#drop(1000);
    });
    globalThis.addEventListener?.('pageshow', ({ persisted }) => {
      if (persisted && this.#wanted) this.#open();
    });
  }

  start() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#attempt = 0;
    this.#open();
  }

  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#drop(1000);
    this.#owner.state('stopped', {});
  }

  /** Sends a frame if the connection is open. Answers whether it was handed over; that says nothing about arrival. */
  send(frame) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** All that was missed has come: later failures start their back-off anew. */
  settled() {
    this.#attempt = 0;
  }

  /** Ends this connection and makes the next one at once, for instance after a gap, which should never be. */
  restart() {
    this.#drop(4000);
    if (this.#wanted) this.#open();
  }

  #hurry() {
    if (this.#wanted && !this.#socket && this.#timer) {
      clearTimeout(this.#timer);
      this.#open();
    } else if (this.#socket?.readyState === WebSocket.OPEN) {
      this.send({ type: 'ping' });
    }
  }

  async #open() {
    this.#timer = null;
    const generation = ++this.#generation;
    this.#owner.state('connecting', {});
    let url;
    try {
      url = await this.#owner.address(this.#moveTo);
    } catch (error) {
      if (generation !== this.#generation || !this.#wanted) return;
      if (this.#owner.refused(error)) return this.stop();
      return this.#later(error.message, (error.retryAfter ?? 0) * 1000);
    }
    this.#moveTo = null;
    if (generation !== this.#generation || !this.#wanted) return;
    const socket = new WebSocket(url, SUBPROTOCOL);
    this.#socket = socket;
    const giveUp = setTimeout(() => socket.close(), WELCOME_TIMEOUT_MS);
    socket.onopen = () => this.send(this.#owner.hello());
    socket.onmessage = (message) => {
      if (socket !== this.#socket) return;
      this.#lastHeard = Date.now();
      let frame;
      try {
        frame = JSON.parse(message.data);
      } catch {
        return socket.close();
      }
      if (frame.type === 'welcome') {
        clearTimeout(giveUp);
        this.#beat(frame.heartbeat_s ?? 25);
        this.#owner.state('online', {});
      } else if (frame.type === 'goaway') {
        this.#goaway(frame);
      }
      this.#owner.frame(frame);
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(giveUp);
      if (socket !== this.#socket) return;
      this.#socket = null;
      clearInterval(this.#heartbeat);
      if (!this.#wanted) return;
      if (code === CLOSED_BY_OPERATOR) this.#attempt = Math.max(this.#attempt, 4);
      if (code === SESSION_ENDED) this.#owner.sessionEnded?.();
      this.#later(reason || 'The connection was lost', code === 1012 ? 1 : 0);
    };
  }

  /** The node wants to be left: after the time it names, so that not everybody comes at once. */
  #goaway(frame) {
    this.#moveTo = frame.url || null;
    const socket = this.#socket;
    setTimeout(() => {
      if (socket !== this.#socket) return;
      this.#drop(1000);
      if (this.#wanted) this.#open();
    }, frame.reconnect_after_ms ?? 0);
  }

  #later(reason, atLeastMs) {
    const limit = Math.min(BACKOFF_LIMIT_MS, BACKOFF_FIRST_MS * 2 ** this.#attempt);
    this.#attempt += 1;
    const wait = Math.max(atLeastMs, limit / 4 + (Math.random() * 3 * limit) / 4);
    this.#owner.state('waiting', { retryAt: Date.now() + wait, reason });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#open(), wait);
  }

  #beat(seconds) {
    clearInterval(this.#heartbeat);
    this.#lastHeard = Date.now();
    this.#heartbeat = setInterval(() => {
      if (Date.now() - this.#lastHeard > 2.2 * seconds * 1000) this.restart();
      else this.send({ type: 'ping' });
    }, seconds * 1000);
  }

  #drop(code) {
    this.#generation += 1;
    clearInterval(this.#heartbeat);
    const socket = this.#socket;
    this.#socket = null;
    if (socket && socket.readyState <= WebSocket.OPEN) socket.close(code);
  }
}
