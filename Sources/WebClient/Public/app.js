// The page: shows the sign-in form or the chat, whichever the client library's state asks for.

import { Roost } from './roost.js';
import { authentication } from './page/authentication.js';
import { chat } from './page/chat.js';

const roost = new Roost();
const root = document.getElementById('app');
let shown = null;

function show() {
  const wanted = roost.state === 'signed-out' ? 'authentication' : 'chat';
  if (wanted === shown) return;
  shown = wanted;
  root.replaceChildren(wanted === 'chat' ? chat(roost) : authentication(roost));
}

roost.addEventListener('state', show);
if (!roost.resume()) show();
