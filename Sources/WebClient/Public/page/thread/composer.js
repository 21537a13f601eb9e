// The box to write in: drafts, replies, edits, mentions, emoji.

import { button, element } from '../dom.js';
import { pickEmoji } from '../emoji-picker.js';
import { icon } from '../icons.js';
import { plainText, usesMarkdown } from '../markdown.js';
import { attempt } from '../notice.js';
import { short } from '../wording.js';
import { MentionList, mentioned } from './mention-list.js';

const TYPING_EVERY_MS = 3000;
const TEXT_BYTES = 16 * 1024;
const HEIGHT = 180;

/**
 * @param {object} owner
 * @param {(message: object) => void} owner.send {text, format, replyTo?, mentions}
 * @param {(item: object, message: object) => Promise} owner.edit
 * @param {(active: boolean) => void} owner.typing
 * @param {() => object|null} owner.lastOwn the newest message that could be edited
 */
export function composer(chats, { send, edit, typing, lastOwn }) {
  let conversation = null;
  let replyTo = null;
  let editing = null;
  let lastTyping = 0;

  const text = element('textarea', {
    id: 'message',
    rows: 1,
    placeholder: 'Write a message',
    role: 'combobox',
    aria: { label: 'Message', autocomplete: 'list', controls: 'mention-list', expanded: 'false' },
  });
  const users = () => {
    if (!conversation?.isGroup) return conversation?.peer ? [chats.people.get(conversation.peer.id)] : [];
    return (conversation.members ?? []).filter(({ user }) => user !== chats.me).map(({ user }) => chats.people.get(user));
  };
  const mentions = new MentionList(text, () => (conversation?.isGroup ? users() : []));
  const note = element('small', { className: 'fault', hidden: true, role: 'alert' });
  const about = element('div', { className: 'about', hidden: true });
  const go = element('button', { type: 'submit', className: 'primary send', textContent: 'Send', disabled: true });
  const emoji = button(icon('smile'), { label: 'Insert an emoji', className: 'icon', on: () => pickEmoji(emoji, insert) });

  function insert(sign) {
    text.setRangeText(sign, text.selectionStart, text.selectionEnd, 'end');
    text.focus();
    text.dispatchEvent(new Event('input'));
  }

  function size() {
    return new TextEncoder().encode(text.value.trim()).length;
  }

  function fit() {
    const tooLong = size() - TEXT_BYTES;
    note.hidden = tooLong <= 0;
    note.textContent = tooLong > 0 ? `Too long by ${tooLong} bytes. Send it in parts.` : '';
    go.disabled = tooLong > 0 || text.value.trim() === '';
    text.style.height = 'auto';
    // The border is not part of scrollHeight: without it the box would always scroll by two pixels.
    if (text.value !== '') text.style.height = `${Math.min(text.scrollHeight + 2, HEIGHT)}px`;
  }

  function quiet() {
    if (lastTyping) typing(false);
    lastTyping = 0;
  }

  function keep() {
    if (!conversation || editing) return;
    const draft = text.value.trim() || replyTo ? { text: text.value, replyTo: replyTo?.id } : null;
    chats.drafts.set(conversation.key, draft);
  }

  /** The line above the box that says what is being answered or edited. */
  function showAbout() {
    const item = editing ?? replyTo;
    about.hidden = !item;
    go.textContent = editing ? 'Save' : 'Send';
    if (!item) return;
    const author = item.sender === chats.me ? 'yourself' : chats.people.name(item.sender);
    about.replaceChildren(
      element(
        'span',
        { className: 'what' },
        element('strong', { textContent: editing ? 'Editing' : `Answering ${author}` }),
        element('span', { textContent: short(plainText(item.body), 120) }),
      ),
      button(icon('close'), { label: editing ? 'Stop editing' : 'No answer', className: 'icon', on: () => { cancel(); text.focus(); } }),
    );
  }

  function cancel() {
    const wasEditing = editing;
    editing = null;
    replyTo = null;
    if (wasEditing) restore();
    else keep();
    showAbout();
    fit();
  }

  function restore() {
    const draft = chats.drafts.get(conversation.key);
    text.value = draft?.text ?? '';
    replyTo = draft?.replyTo ? (conversation.item(draft.replyTo) ?? { id: draft.replyTo, body: {} }) : null;
  }

  function startReply(item) {
    if (editing) cancel();
    replyTo = item;
    keep();
    showAbout();
    text.focus();
  }

  function startEdit(item) {
    keep();
    editing = item;
    replyTo = null;
    text.value = item.body?.text ?? '';
    showAbout();
    fit();
    text.focus();
    text.setSelectionRange(text.value.length, text.value.length);
  }

  function written() {
    const value = text.value.trim();
    return { text: value, format: usesMarkdown(value) ? 'markdown' : 'plain', mentions: conversation.isGroup ? mentioned(value, users()) : [] };
  }

  async function submit() {
    if (go.disabled) return;
    if (editing) {
      const item = editing;
      const message = { ...written(), replyTo: item.body?.reply_to };
      if (message.text !== item.body?.text) {
        go.disabled = true;
        const done = await attempt(() => edit(item, message));
        go.disabled = false;
        if (!done || editing !== item) return;
      }
      cancel();
      return;
    }
    send({ ...written(), replyTo: replyTo?.id });
    text.value = '';
    replyTo = null;
    quiet();
    keep();
    showAbout();
    fit();
    text.focus();
  }

  text.addEventListener('input', () => {
    fit();
    keep();
    mentions.update();
    if (editing) return;
    if (text.value === '') quiet();
    else if (Date.now() - lastTyping > TYPING_EVERY_MS) {
      lastTyping = Date.now();
      typing(true);
    }
  });
  text.addEventListener('click', () => mentions.update());
  text.addEventListener('blur', () => {
    quiet();
    mentions.close();
  });
  text.addEventListener('keydown', (event) => {
    if (event.isComposing || mentions.key(event)) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === 'Escape' && (editing || replyTo)) {
      event.preventDefault();
      cancel();
    } else if (event.key === 'ArrowUp' && text.value === '' && !editing) {
      const item = lastOwn();
      if (!item) return;
      event.preventDefault();
      startEdit(item);
    }
  });
  const form = element(
    'form',
    { className: 'composer', on: { submit: (event) => { event.preventDefault(); submit(); } } },
    mentions.element,
    about,
    note,
    emoji,
    text,
    go,
  );
  return {
    element: form,
    focus: () => text.focus(),
    reply: startReply,
    edit: startEdit,
    open(chosen) {
      quiet();
      editing = null;
      conversation = chosen;
      restore();
      text.placeholder = chosen.isGroup ? 'Write to the group' : 'Write a message';
      mentions.close();
      showAbout();
      fit();
    },
  };
}
