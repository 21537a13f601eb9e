// The user's own account: profile, privacy, devices, password, blocked people.

import { dialog } from '../dialog.js';
import { button, element } from '../dom.js';
import { blocked } from './blocked.js';
import { devices } from './devices.js';
import { passwordForm, privacyForm, profileForm } from './forms.js';

export function settings(roost, chats) {
  const parts = {
    Profile: () => profileForm(roost),
    Privacy: () => privacyForm(roost),
    Devices: () => devices(roost),
    Password: () => passwordForm(roost),
    Blocked: () => blocked(roost, chats),
  };
  const content = element('div', { className: 'settings-part', role: 'tabpanel' });
  const tabs = Object.keys(parts).map((name) => button(name, { role: 'tab', on: () => choose(name) }));
  const choose = (name) => {
    for (const tab of tabs) {
      const chosen = tab.textContent === name;
      tab.setAttribute('aria-selected', String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    content.setAttribute('aria-label', name);
    content.replaceChildren(parts[name]());
  };
  const bar = element('div', { className: 'tabs', role: 'tablist', aria: { label: 'Settings' } }, ...tabs);
  bar.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = tabs[(tabs.indexOf(document.activeElement) + step + tabs.length) % tabs.length];
    next.focus();
    next.click();
  });
  dialog('Settings', [bar, content], { className: 'settings' });
  choose('Profile');
}
