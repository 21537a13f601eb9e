// Signs drawn as SVG, in the colour of the text around them.

const PATHS = {
  plus: 'M12 5v14M5 12h14',
  info: 'M12 11v6M12 7.5v.01M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0',
  dots: 'M12 5.5v.01M12 12v.01M12 18.5v.01',
  more: 'M5.5 12v.01M12 12v.01M18.5 12v.01',
  close: 'M6 6l12 12M18 6 6 18',
  back: 'M15 5l-7 7 7 7',
  down: 'M12 5v14M6 13l6 6 6-6',
  smile: 'M9 9.5v.01M15 9.5v.01M8 14c1.7 2.7 6.3 2.7 8 0M21 12a9 9 0 1 1-18 0 9 9 0 0 1 18 0',
  muted: 'M4 4l16 16M9.5 5.2A5.5 5.5 0 0 1 17.5 10c0 1.5.2 2.8.6 4M6.6 8.5C6.3 13 6 15 4.5 17H17M10 20.5h4',
};

const NAMESPACE = 'http://www.w3.org/2000/svg';

/** @param {keyof PATHS} name */
export function icon(name) {
  const made = document.createElementNS(NAMESPACE, 'svg');
  made.setAttribute('viewBox', '0 0 24 24');
  made.setAttribute('class', `sign ${name}`);
  made.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(NAMESPACE, 'path');
  path.setAttribute('d', PATHS[name]);
  made.append(path);
  return made;
}
