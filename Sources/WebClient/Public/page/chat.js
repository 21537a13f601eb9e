// The chat: who one talks with on the left, the conversation on the right, details beside it, the connection's state above all.

import { connectionBanner } from './connection.js';
import { detailsPanel } from './details/panel.js';
import { newGroup } from './details/create.js';
import { joinGroup, showInvite } from './details/join.js';
import { element } from './dom.js';
import { sidebar } from './list/sidebar.js';
import { Chats } from './model/chats.js';
import { settings } from './settings/settings.js';
import { conversationPane } from './thread/pane.js';

export function chat(roost) {
  const chats = new Chats(roost);
  // The list comes over REST, so that it is there before, and without, a connection.
  chats.reload().catch(() => {});
  const root = element('div', { className: 'chat' });
  const open = (conversation, options) => {
    // On a phone the conversation takes the list's place, and the phone's own way back leads to the list.
    if (matchMedia('(max-width: 700px)').matches && !history.state?.reading) history.pushState({ reading: true }, '');
    root.classList.add('reading');
    details.close();
    pane.open(conversation, options);
    list.select(conversation.key);
  };
  const leave = () => {
    root.classList.remove('reading');
    details.close();
    list.select(null);
    pane.close();
  };
  globalThis.addEventListener('popstate', () => {
    if (root.isConnected && root.classList.contains('reading') && !history.state?.reading) leave();
  });
  const openGroup = (group) => open(chats.withGroup(group));
  const details = detailsPanel(roost, chats, { open, shown: (shown) => root.classList.toggle('with-details', shown) });
  const pane = conversationPane(roost, chats, {
    back: () => (history.state?.reading ? history.back() : leave()),
    details: (conversation) => details.toggle(conversation),
  });
  const list = sidebar(roost, chats, {
    open,
    openGroup: (group) => (group.role ? openGroup(group) : joinGroup(roost, group, openGroup)),
    newGroup: () => newGroup(roost, chats, openGroup),
    settings: () => settings(roost, chats),
  });
  chats.addEventListener('renamed', ({ detail }) => list.renamed(detail));
  root.append(connectionBanner(roost), list.element, pane.element, details.element);

  const followAddress = () => {
    const code = /^#\/invite\/([^/]+)$/.exec(location.hash)?.[1];
    if (!code || !root.isConnected) return;
    history.replaceState(null, '', location.pathname);
    showInvite(roost, decodeURIComponent(code), openGroup);
  };
  globalThis.addEventListener('hashchange', followAddress);
  queueMicrotask(followAddress);
  return root;
}
