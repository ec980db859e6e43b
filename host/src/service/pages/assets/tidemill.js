// What the pages do beyond what the browser does by itself. Each of them works without this.
'use strict';

const zone = { dateStyle: 'medium', timeStyle: 'medium' };

// Times in the reader's time zone.
function localize(root) {
  for (const time of root.querySelectorAll('time[datetime]')) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.dateTime;
    time.textContent = new Intl.DateTimeFormat(navigator.language, zone).format(at);
  }
}

// Makes an element what another one is, leaving alone what is the same: focus, selection and scroll positions stay.
function become(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) return void old.replaceWith(fresh);
  if (old.nodeType !== Node.ELEMENT_NODE) return void (old.nodeValue = fresh.nodeValue);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  after.forEach((node, i) => (before[i] ? become(before[i], node) : old.append(node)));
  before.slice(after.length).forEach(node => node.remove());
}

async function page(url) {
  const answer = await fetch(url, { headers: { accept: 'text/html' } });
  if (answer.redirected && new URL(answer.url).pathname === '/login') location.reload();
  const text = await answer.text();
  return new DOMParser().parseFromString(text, 'text/html');
}

// A control doesn't change under the pointer or the focus.
const isUsed = section => section.querySelector('a:hover, button:hover, summary:hover, button:focus, summary:focus') !== null;

// Live parts are fetched with their page, all at once, and put in the place of what is shown.
async function refresh() {
  const live = [...document.querySelectorAll('[data-live]')];
  const pause = Math.min(...live.map(section => Number(section.dataset.live) || 1.5));
  if (!live.length) return;
  try {
    if (!document.hidden && !document.querySelector('dialog[open]')) {
      const fresh = await page(location.href);
      for (const section of live) {
        const found = fresh.getElementById(section.id);
        if (!found || isUsed(section)) continue;
        localize(found);
        become(section, document.adoptNode(found));
      }
    }
    document.body.classList.remove('offline');
  } catch {
    document.body.classList.add('offline');
  }
  setTimeout(refresh, pause * 1000);
}

// What takes its time is fetched behind the page.
async function load(section) {
  section.setAttribute('aria-busy', 'true');
  const link = section.querySelector('.loading');
  if (link) link.textContent = 'Asking the source and the destination…';
  const fresh = (await page(section.dataset.load)).getElementById(section.id);
  if (!fresh) return;
  localize(fresh);
  section.replaceWith(document.adoptNode(fresh));
}

// A page that asks something, as a dialog over this one.
async function open(link) {
  const dialog = document.createElement('dialog');
  dialog.setAttribute('aria-label', link.getAttribute('aria-label') ?? link.textContent.trim());
  dialog.innerHTML = '<p class="waiting" role="status">Asking…</p>';
  dialog.addEventListener('close', () => {
    dialog.remove();
    link.focus();
  });
  dialog.addEventListener('click', event => {
    if (!event.target.closest('[data-close]')) return;
    event.preventDefault();
    dialog.close();
  });
  document.body.append(dialog);
  dialog.showModal();
  try {
    const fresh = await page(link.href);
    const content = fresh.getElementById('dialog-content') ?? fresh.querySelector('main > *:last-child');
    localize(content);
    const title = content.querySelector('h1, h2');
    if (title) {
      title.id = 'dialog-title';
      title.tabIndex = -1;
      dialog.removeAttribute('aria-label');
      dialog.setAttribute('aria-labelledby', title.id);
    }
    dialog.replaceChildren(document.adoptNode(content));
    title?.focus();
  } catch {
    location.href = link.href;
  }
}

document.addEventListener('click', event => {
  const link = event.target.closest('a[data-dialog]');
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  open(link);
});

// A link that is a button answers to the space bar, too.
document.addEventListener('keydown', event => {
  if (event.key !== ' ' || !event.target.matches('a[role=button]')) return;
  event.preventDefault();
  event.target.click();
});

document.addEventListener('change', event => {
  if (event.target.matches('[data-submit]')) event.target.form.requestSubmit();
});

// A form is sent once; what takes its time says so.
document.addEventListener('submit', event => {
  const form = event.target;
  if (form.method !== 'post') return;
  if (form.dataset.sent) return void event.preventDefault();
  form.dataset.sent = 'yes';
  const button = event.submitter;
  if (button && form.dataset.busy) button.textContent = form.dataset.busy;
  form.setAttribute('aria-busy', 'true');
});
addEventListener('pageshow', () => {
  for (const form of document.forms) delete form.dataset.sent;
});

localize(document);
document.querySelectorAll('[data-load]').forEach(load);
setTimeout(refresh, 1500);
