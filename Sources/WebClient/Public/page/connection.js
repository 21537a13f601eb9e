// The line that says how the connection is. Nothing is shown while all is well.

import { element } from './dom.js';

export function connectionBanner(roost) {
  const text = element('span');
  const banner = element('div', { className: 'connection', role: 'status', hidden: true }, text);
  let countdown = null;
  const show = ({ state, retryAt, reason }) => {
    clearInterval(countdown);
    banner.hidden = state === 'online';
    banner.dataset.state = state;
    if (state === 'connecting') text.textContent = 'Connecting…';
    if (state !== 'waiting') return;
    const render = () => {
      const seconds = Math.max(0, Math.ceil((retryAt - Date.now()) / 1000));
      text.textContent = `${reason}. What you write is kept and sent later. Next try in ${seconds} s.`;
    };
    render();
    countdown = setInterval(render, 500);
  };
  roost.addEventListener('state', ({ detail }) => show(detail));
  show({ state: roost.state });
  return banner;
}
