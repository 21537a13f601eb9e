// Where the reader is in the list of messages: following the newest, or holding on to what is being read while rows come and go.

/** Pixels from the end within which the view follows new messages. */
const NEAR_END = 80;
/** Pixels from an edge at which more is loaded. */
const NEAR_EDGE = 300;
const AGAIN_AFTER_MS = 3000;
const MARKED_MS = 2500;

export class View {
  #list;
  #owner;
  #paused = false;
  /** The newest messages are in view, and stay so. */
  follow = true;
  /** Key of the row to bring into view with the next update, once it is there. */
  target = null;

  /** @param {object} owner {older(), newer(), atEnd(), moved()} */
  constructor(list, owner) {
    this.#list = list;
    this.#owner = owner;
    list.addEventListener('scroll', () => this.#scrolled());
    // Pictures, fonts and a growing composer change the room there is.
    new ResizeObserver(() => this.follow && this.#toEnd()).observe(list);
  }

  /** Another conversation is shown; `target` is where to begin, if not at the end. */
  reset(target) {
    this.follow = true;
    this.target = target;
  }

  /** Changes the rows and keeps the reader's place. */
  update(change) {
    const anchor = this.follow ? null : this.#anchor();
    change();
    const row = this.target && this.#row(this.target);
    if (row) this.#bring(row);
    else if (this.follow) this.#toEnd();
    else if (anchor) {
      const now = this.#row(anchor.key);
      if (now) this.#list.scrollTop += now.offsetTop - anchor.top;
    }
    this.#fill();
  }

  /** Loading failed: not again at once. */
  later() {
    this.#paused = true;
    setTimeout(() => {
      this.#paused = false;
      this.#fill();
    }, AGAIN_AFTER_MS);
  }

  #bring(row) {
    const isNewLine = this.target === 'new';
    this.target = null;
    const room = this.#list.clientHeight;
    this.#list.scrollTop = row.offsetTop - (isNewLine ? 40 : Math.max(40, (room - row.offsetHeight) / 2));
    this.follow = isNewLine && this.#atEnd();
    if (isNewLine) return;
    row.classList.add('marked');
    setTimeout(() => row.classList.remove('marked'), MARKED_MS);
  }

  #scrolled() {
    if (!this.#list.isConnected) return;
    this.follow = this.#atEnd();
    this.#fill();
    this.#owner.moved();
    if (this.follow) this.#owner.atEnd();
  }

  #fill() {
    if (this.#paused || this.#list.children.length === 0) return;
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    if (scrollTop < NEAR_EDGE) this.#owner.older();
    if (scrollHeight - scrollTop - clientHeight < NEAR_EDGE) this.#owner.newer();
  }

  #atEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.#list;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #toEnd() {
    this.#list.scrollTop = this.#list.scrollHeight;
  }

  /** The first row in view that will still be there. */
  #anchor() {
    const top = this.#list.scrollTop;
    for (const row of this.#list.children) {
      const lasting = row.dataset.key?.startsWith('s') && row.dataset.key !== 'start';
      if (lasting && row.offsetTop + row.offsetHeight > top) return { key: row.dataset.key, top: row.offsetTop };
    }
    return null;
  }

  #row(key) {
    return this.#list.querySelector(`[data-key="${CSS.escape(key)}"]`);
  }
}
