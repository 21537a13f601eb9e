// One conversation: its title, its messages, and the box to write in.

import { button, element, oncePerFrame, reconcile } from '../dom.js';
import { icon } from '../icons.js';
import { attempt, notice } from '../notice.js';
import { messageActions } from './actions.js';
import { composer as makeComposer } from './composer.js';
import { Keys } from './keys.js';
import { Rows } from './rows.js';
import { title as makeTitle } from './title.js';
import { View } from './view.js';

/** In groups up to this size receipts come live. */
const RECEIPTS_UP_TO = 32;

const GONE = {
  left: 'You left this group.',
  removed: 'You were removed from this group.',
  banned: 'You were removed from this group and may not come back.',
  deleted: 'This group was deleted.',
};

export function conversationPane(roost, chats, { back, details }) {
  let conversation = null;
  /** What was read when the conversation was opened: what is above is new. */
  let newAfter = null;
  const empty = element('p', { className: 'empty', textContent: 'Choose a conversation, or find a person to write to.' });
  const pane = element('main', { className: 'conversation' }, empty);
  const title = makeTitle(chats, { back, details: () => details(conversation) });
  const list = element('ol', { className: 'messages', tabIndex: 0, aria: { label: 'Messages, arrow keys go from one to another' } });
  const keys = new Keys(list);
  const announce = element('p', { className: 'off-screen', aria: { live: 'polite' } });
  const view = new View(list, {
    older: () => load(() => chats.history.older(conversation)),
    newer: () => load(() => chats.history.newer(conversation)),
    atEnd: () => markRead(),
    moved: () => renderJump(),
  });
  const jumpButton = button('', { className: 'to-newest', hidden: true, on: () => toNewest() });
  const closed = element('p', { className: 'closed', role: 'status', hidden: true });

  const composer = makeComposer(chats, {
    send: (message) => {
      newAfter = null;
      conversation.around = null;
      view.follow = true;
      chats.send(conversation, message);
    },
    edit: (item, message) => roost.edit({ conversation: conversation.id, message: item.id, ...message }),
    typing: (active) => conversation?.id && !conversation.gone && roost.typing(conversation.id, active),
    lastOwn: () =>
      conversation.recent.items.findLast((item) => item.kind === 'message' && item.sender === chats.me && !item.deleted),
  });
  const actions = messageActions(roost, chats, composer);
  const rows = new Rows(chats, {
    act: (item, anchor) => actions.open(conversation, item, anchor),
    react: (item, emoji) => actions.react(conversation, item, emoji),
    jump: (id) => jumpTo(id),
    retry: (clientID) => {
      roost.retry(clientID);
      render();
    },
    discard: (clientID) => {
      roost.discard(clientID);
      chats.changed();
    },
  });
  list.addEventListener('contextmenu', (event) => {
    // A long press with a finger; with a mouse the browser's own menu is wanted.
    const message = event.target.closest('.message[data-seq]');
    const item = message && conversation.timeline.at(Number(message.dataset.seq));
    if (event.pointerType !== 'touch' || !item || item.deleted || event.target.closest('a')) return;
    event.preventDefault();
    actions.open(conversation, item, message.querySelector('.bubble'));
  });
  document.addEventListener('visibilitychange', () => markRead());
  globalThis.addEventListener('focus', () => markRead());

  function load(action) {
    if (conversation) action().catch(() => view.later());
  }

  function markRead() {
    const seen = conversation && !conversation.around && view.follow && document.visibilityState === 'visible' && pane.isConnected;
    if (seen && list.offsetParent) chats.markRead(conversation);
  }

  const render = oncePerFrame(() => {
    if (!conversation || !pane.isConnected) return;
    title.render(conversation);
    view.update(() => keys.keep(() => reconcile(list, rows.make(conversation, newAfter))));
    closed.hidden = !conversation.gone;
    composer.element.hidden = Boolean(conversation.gone);
    closed.textContent = GONE[conversation.gone] ?? '';
    renderJump();
    if (view.follow) markRead();
  });
  chats.addEventListener('change', render);
  roost.addEventListener('event', ({ detail: event }) => {
    if (event.conversation !== conversation?.id) return;
    if (event.kind === 'message' && event.sender !== chats.me) {
      announce.textContent = `${chats.people.name(event.sender)}: ${event.body?.text ?? ''}`;
    }
    if (event.kind === 'member' && event.user === chats.me && event.sender !== chats.me && GONE[event.change]) {
      notice(`${chats.people.name(event.sender)} removed you from ${conversation.name}.`, { fault: true });
    }
  });

  function renderJump() {
    const unread = conversation?.unread ?? 0;
    jumpButton.hidden = view.follow && !conversation?.around;
    jumpButton.replaceChildren(icon('down'), unread > 0 ? ` ${unread} new` : '');
    jumpButton.setAttribute('aria-label', unread > 0 ? `To the newest messages, ${unread} new` : 'To the newest messages');
  }

  function toNewest() {
    conversation.around = null;
    view.follow = true;
    render();
    list.focus({ preventScroll: true });
  }

  async function jumpTo(id) {
    const item = await chats.history.find(conversation, id).catch(() => null);
    if (!item) return notice('That message could not be found.', { fault: true });
    show(item.seq);
  }

  function show(seq) {
    view.follow = false;
    view.target = `s${seq}`;
    render();
  }

  return {
    element: pane,
    get shown() {
      return conversation;
    },
    /** @param {number} [seq] of the message to show */
    async open(chosen, { seq } = {}) {
      const other = chosen !== conversation;
      if (other) {
        conversation = chosen;
        conversation.around = null;
        rows.clear();
        newAfter = conversation.unread > 0 ? conversation.read : null;
        view.reset(newAfter !== null && conversation.unread <= 40 ? 'new' : null);
        list.replaceChildren();
        pane.replaceChildren(title.element, element('div', { className: 'stage' }, list, jumpButton), announce, closed, composer.element);
        composer.open(conversation);
      }
      render();
      if (!matchMedia('(pointer: coarse)').matches) composer.focus();
      if (other) begin(chosen);
      if (seq && (await attempt(() => chats.history.jump(chosen, seq))) && conversation === chosen) show(seq);
    },
    close() {
      conversation = null;
      pane.replaceChildren(empty);
    },
    render,
  };

  /** What a conversation needs when it is opened. */
  function begin(chosen) {
    if (chosen.recent.size < 30) chats.history.older(chosen, chosen.recent).catch(() => view.later());
    if (!chosen.isGroup || chosen.gone) return;
    if (!chosen.members) chats.loadMembers(chosen).catch(() => {});
    if ((chosen.group.member_count ?? 0) <= RECEIPTS_UP_TO) {
      Promise.resolve(chosen.recent.loading).then(() => chats.loadReceipts(chosen)).catch(() => {});
    }
  }
}
