import { button, element } from '../dom.js';
import { explain } from '../errors.js';
import { attempt } from '../notice.js';
import { dayName, timeOfDay } from '../time.js';

/** Where the user is logged in, with a way to end each. */
export function devices(roost) {
  const list = element('ul', { className: 'devices' }, element('li', { className: 'none', textContent: 'Asking…' }));
  roost.api.devices().then(
    ({ items }) => list.replaceChildren(...items.map(line)),
    (error) => list.replaceChildren(element('li', { className: 'problem', textContent: explain(error) })),
  );

  function line({ id, name, last_used_at: used, current }) {
    const end = button('Log out', {
      className: 'quiet danger',
      label: `Log out ${name}`,
      on: async () => {
        if (current) return roost.logout();
        if (await attempt(() => roost.api.logOutDevice(id))) made.remove();
      },
    });
    const made = element(
      'li',
      { data: { device: id } },
      element(
        'span',
        { className: 'who' },
        element('strong', { textContent: current ? `${name || 'Device'} (this one)` : name || 'Device' }),
        element('span', { className: 'detail', textContent: used ? `Last used ${dayName(used).toLowerCase()} at ${timeOfDay(used)}` : '' }),
      ),
      end,
    );
    return made;
  }
  return list;
}
