
// Fetches this page again every two seconds and shows what is new. Without it, the page is reloaded as a whole.
'use strict';
(() => {
  const EVERY = 2000;
  const PATIENCE = 10000;
  const lost = document.getElementById('lost');
  const news = document.getElementById('news');
  let answered = new Date();
  let timer = 0;
  let isAsking = false;

  const say = text => {
    lost.textContent = text;
    lost.hidden = !text;
  };
  const verdict = main => main.querySelector('#verdict span').textContent;

  // Where the keyboard is, to be found again in the next page.
  function selectorOf(element) {
    const place = element.closest('[data-k]');
    if (place) return `[data-k="${place.dataset.k}"] > summary`;
    if (element.hasAttribute('href')) return `a[href="${CSS.escape(element.getAttribute('href'))}"]`;
    return '.' + element.className;
  }

  function show(page) {
    const main = document.querySelector('main');
    const next = page.querySelector('main');
    for (const { dataset } of main.querySelectorAll('details[open]')) {
      const same = next.querySelector(`details[data-k="${dataset.k}"]`);
      if (same) same.open = true;
    }
    const focused = main.contains(document.activeElement) && selectorOf(document.activeElement);
    const left = main.querySelector('.wide')?.scrollLeft;
    if (verdict(main) !== verdict(next)) news.textContent = verdict(next);
    main.replaceWith(next);
    document.title = page.title;
    document.querySelector('link[rel=icon]').href = page.querySelector('link[rel=icon]').href;
    if (left) next.querySelector('.wide')?.scrollTo(left, 0);
    if (focused) next.querySelector(focused)?.focus({ preventScroll: true });
  }

  async function fetchPage() {
    const answer = await fetch(location.href, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    if (!answer.ok || !page.querySelector('main')) throw new Error('not a status page');
    return page;
  }

  async function refresh() {
    let page;
    try {
      page = await fetchPage();
    } catch {
      const seconds = Math.round((new Date() - answered) / 1000);
      say(`No answer from this node since ${answered.toLocaleTimeString()} (${seconds} s). Below is how things were then.`);
      return;
    }
    answered = new Date();
    // Somebody copies a name.
    const isBusy = !getSelection().isCollapsed;
    say(isBusy ? 'Text is selected: the page stays as it is.' : '');
    if (!isBusy) show(page);
  }

  // One request at a time, and none while nobody looks.
  async function next() {
    clearTimeout(timer);
    if (isAsking || document.hidden) return;
    isAsking = true;
    try {
      await refresh();
    } finally {
      isAsking = false;
      timer = setTimeout(next, EVERY);
    }
  }

  document.addEventListener('visibilitychange', next);
  timer = setTimeout(next, EVERY);
})();
