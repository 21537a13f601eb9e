// What one does with a message: the menu beside it, and who has it.

import { avatar } from '../avatar.js';
import { confirm } from '../dialog.js';
import { button, element } from '../dom.js';
import { QUICK, emojiName } from '../emoji.js';
import { pickEmoji } from '../emoji-picker.js';
import { explain } from '../errors.js';
import { icon } from '../icons.js';
import { plainText } from '../markdown.js';
import { attempt, notice } from '../notice.js';
import { menu, popover } from '../popover.js';
import { short } from '../wording.js';

/** @param {object} composer {reply(item), edit(item)} */
export function messageActions(roost, chats, composer) {
  const react = (conversation, item, emoji) => attempt(() => chats.react(conversation, item, emoji));

  function open(conversation, item, anchor) {
    const own = item.sender === chats.me;
    const here = !conversation.gone && conversation.id;
    const mayDelete = own || (conversation.isGroup && conversation.manages);
    const shown = menu(
      anchor,
      [
        here && quickReactions(anchor, (emoji) => {
          shown.close();
          react(conversation, item, emoji);
        }),
        here && { text: 'Reply', action: () => composer.reply(item) },
        { text: 'Copy text', action: () => copy(item.body?.text ?? '') },
        own && here && { text: 'Edit', action: () => composer.edit(item) },
        own && { text: conversation.isGroup ? 'Delivered to, read by' : 'Delivered, read', action: () => receipts(conversation, item, anchor) },
        mayDelete && here && { text: 'Delete', danger: true, action: () => remove(conversation, item) },
      ],
      { label: 'Message actions' },
    );
  }

  function remove(conversation, item) {
    confirm({
      title: 'Delete this message?',
      text: `“${short(plainText(item.body), 120)}” will be gone for everybody.`,
      action: 'Delete',
      submit: () => roost.delete({ conversation: conversation.id, message: item.id }),
    });
  }

  async function receipts(conversation, item, anchor) {
    const content = element('div', { className: 'receipts' }, element('p', { className: 'none', textContent: 'Asking…' }));
    const shown = popover(anchor, content, { label: 'Who has this message' });
    try {
      const found = await roost.api.receipts(conversation.kind, conversation.id, item.id);
      const read = new Set(found.read);
      content.replaceChildren(
        ...receiptList(chats, 'Read by', found.read),
        ...receiptList(chats, 'Delivered to', found.delivered.filter((user) => !read.has(user))),
      );
      if (found.read.length + found.delivered.length === 0) {
        content.replaceChildren(element('p', { className: 'none', textContent: 'Nobody has it yet, or they do not show it.' }));
      }
    } catch (error) {
      content.replaceChildren(element('p', { className: 'problem', textContent: explain(error) }));
    }
    shown.place();
  }

  return { open, react };
}

function quickReactions(anchor, choose) {
  return element(
    'div',
    { className: 'quick', role: 'group', aria: { label: 'React' } },
    ...QUICK.map((sign) => button(sign, { label: emojiName(sign), role: 'menuitem', on: () => choose(sign) })),
    button(icon('plus'), { label: 'Another emoji', role: 'menuitem', on: () => pickEmoji(anchor, choose) }),
  );
}

function receiptList({ people }, title, users) {
  if (users.length === 0) return [];
  return [
    element('h4', { textContent: `${title} ${users.length}` }),
    element(
      'ul',
      {},
      ...users.slice(0, 100).map((user) => element('li', {}, avatar(people.get(user)), element('span', { textContent: people.name(user) }))),
    ),
  ];
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    notice('Copied.');
  } catch {
    // Without a secure context there is no clipboard: the old way.
    const box = element('textarea', { value: text, className: 'off-screen' });
    (document.querySelector('dialog[open]') ?? document.body).append(box);
    box.select();
    const copied = document.execCommand('copy');
    box.remove();
    notice(copied ? 'Copied.' : 'The browser did not let the page copy this.', { fault: !copied });
  }
}
