// One conversation: its messages with ticks, older ones by scrolling up, and the box to write in.

import { element, oncePerFrame } from './dom.js';
import { avatar } from './sidebar.js';
import { dayName, lastSeen, timeOfDay } from './time.js';

/** Pixels from the end within which the view follows new messages. */
const NEAR_END = 80;
const TYPING_EVERY_MS = 3000;
const TEXT_BYTES = 16 * 1024;

export function conversationPane(roost, chats, { back }) {
  let conversation = null;
  let follow = true;
  const title = element('div', { className: 'title' });
  const list = element('ol', { className: 'messages', tabIndex: 0, aria: { label: 'Messages', live: 'polite' } });
  const composer = messageBox({
    send: (text) => {
      follow = true;
      chats.send(conversation, text);
    },
    typing: (active) => conversation?.id && roost.typing(conversation.id, active),
  });
  const empty = element('p', { className: 'empty', textContent: 'Choose a conversation, or find a person to write to.' });
  const pane = element('main', { className: 'conversation' }, empty);

  list.addEventListener('scroll', () => {
    follow = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END;
    if (list.scrollTop < 200) chats.older(conversation).catch(() => {});
    if (follow) markRead();
  });
  document.addEventListener('visibilitychange', () => markRead());
  globalThis.addEventListener('focus', () => markRead());

  function markRead() {
    if (conversation && follow && document.visibilityState === 'visible') chats.markRead(conversation);
  }

  const render = oncePerFrame(() => {
    if (!conversation || !pane.isConnected) return;
    const fromEnd = list.scrollHeight - list.scrollTop;
    renderTitle();
    list.replaceChildren(...rows());
    list.scrollTop = follow ? list.scrollHeight : list.scrollHeight - fromEnd;
    if (follow) markRead();
  });
  chats.addEventListener('change', render);

  function renderTitle() {
    const { peer } = conversation;
    const presence = chats.presence(peer.id);
    const detail = chats.isTyping(conversation) ? 'typing…' : lastSeen(presence) || `@${peer.username}`;
    title.replaceChildren(
      element('button', { type: 'button', className: 'back', textContent: '‹', on: { click: back }, aria: { label: 'Back to the list' } }),
      avatar(peer, presence?.online),
      element('div', { className: 'who' }, element('strong', { textContent: peer.display_name || peer.username }), element('span', { className: 'detail', textContent: detail })),
    );
  }

  function rows() {
    const made = [];
    if (!conversation.complete) made.push(element('li', { className: 'more', textContent: 'Loading earlier messages…' }));
    let day = null;
    const heading = (when) => {
      const name = dayName(when);
      if (name !== day) made.push(element('li', { className: 'day' }, element('span', { textContent: name })));
      day = name;
    };
    for (const seq of [...conversation.messages.keys()].sort((a, b) => a - b)) {
      const message = conversation.messages.get(seq);
      heading(message.sent_at);
      made.push(stored(message));
    }
    for (const entry of chats.pending(conversation)) {
      heading(entry.written_at);
      made.push(unsent(entry));
    }
    return made;
  }

  function stored(message) {
    const own = message.sender === chats.me;
    return bubble({
      own,
      text: message.deleted ? 'This message was deleted.' : message.body?.text,
      when: message.sent_at,
      tick: own ? tickOf(message) : null,
      data: { seq: String(message.seq) },
      deleted: message.deleted,
    });
  }

  function tickOf({ seq }) {
    if (seq <= conversation.peerRead) return ['read', '✓✓', 'Read'];
    if (seq <= conversation.peerDelivered) return ['delivered', '✓✓', 'Delivered'];
    return ['sent', '✓', 'Sent'];
  }

  function unsent(entry) {
    const made = bubble({
      own: true,
      text: entry.body.text,
      when: entry.written_at,
      tick: entry.error ? ['failed', '!', 'Not sent'] : ['waiting', '◷', 'Waiting to be sent'],
      data: { clientId: entry.client_id },
    });
    if (entry.error) {
      const act = (label, action) => element('button', { type: 'button', className: 'link', textContent: label, on: { click: () => { action(); render(); } } });
      made.append(
        element('p', { className: 'refusal' }, `Not sent: ${entry.error} `, act('Try again', () => roost.retry(entry.client_id)), ' ', act('Discard', () => roost.discard(entry.client_id))),
      );
    }
    return made;
  }

  return {
    element: pane,
    open(chosen) {
      conversation = chosen;
      follow = true;
      pane.replaceChildren(title, list, composer.element);
      render();
      composer.focus();
      if (conversation.messages.size < 30) chats.older(conversation).catch(() => {});
    },
  };
}

function bubble({ own, text, when, tick, data, deleted = false }) {
  return element(
    'li',
    { className: `message ${own ? 'own' : 'other'}${deleted ? ' deleted' : ''}`, data },
    element(
      'div',
      { className: 'bubble' },
      element('span', { className: 'text', textContent: text ?? '' }),
      element(
        'span',
        { className: 'meta' },
        element('time', { dateTime: when, textContent: timeOfDay(when) }),
        tick && element('span', { className: `tick ${tick[0]}`, textContent: tick[1], title: tick[2], role: 'img', aria: { label: tick[2] } }),
      ),
    ),
  );
}

function messageBox({ send, typing }) {
  let lastTyping = 0;
  const text = element('textarea', { id: 'message', rows: 1, placeholder: 'Write a message', aria: { label: 'Message' } });
  const note = element('small', { className: 'fault', hidden: true });
  const button = element('button', { type: 'submit', className: 'primary', textContent: 'Send', disabled: true });
  const size = () => new TextEncoder().encode(text.value).length;

  const quiet = () => {
    if (lastTyping) typing(false);
    lastTyping = 0;
  };
  const changed = () => {
    const tooLong = size() > TEXT_BYTES;
    note.hidden = !tooLong;
    note.textContent = `Too long by ${size() - TEXT_BYTES} bytes.`;
    button.disabled = tooLong || text.value.trim() === '';
    text.style.height = 'auto';
    // The border is not part of scrollHeight: without it the box would always scroll by two pixels.
    text.style.height = `${Math.min(text.scrollHeight + 2, 160)}px`;
  };
  text.addEventListener('input', () => {
    changed();
    if (text.value === '') quiet();
    else if (Date.now() - lastTyping > TYPING_EVERY_MS) {
      lastTyping = Date.now();
      typing(true);
    }
  });
  text.addEventListener('blur', quiet);
  text.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit(button.disabled ? undefined : button);
    }
  });
  const form = element(
    'form',
    {
      className: 'composer',
      on: {
        submit: (event) => {
          event.preventDefault();
          if (button.disabled) return;
          send(text.value.trim());
          text.value = '';
          quiet();
          changed();
          text.focus();
        },
      },
    },
    note,
    text,
    button,
  );
  return { element: form, focus: () => text.focus() };
}
