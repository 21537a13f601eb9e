// The chat: who one talks with on the left, the conversation on the right, the connection's state above both.

import { connectionBanner } from './connection.js';
import { conversationPane } from './conversation.js';
import { element } from './dom.js';
import { Chats } from './model.js';
import { sidebar } from './sidebar.js';

export function chat(roost) {
  const chats = new Chats(roost);
  // The list comes over REST, so that it is there before, and without, a connection.
  chats.reload().catch(() => {});
  const root = element('div', { className: 'chat' });
  const pane = conversationPane(roost, chats, { back: () => root.classList.remove('reading') });
  const list = sidebar(roost, chats, {
    open: (conversation) => {
      root.classList.add('reading');
      pane.open(conversation);
      list.select(conversation.key);
    },
  });
  chats.addEventListener('renamed', ({ detail }) => list.renamed(detail));
  root.append(connectionBanner(roost), list.element, pane.element);
  return root;
}
