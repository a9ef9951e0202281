// The browser's own hints, sooner and easier to read. Without this script they still are there.
(() => {
  const tip = document.getElementById('tip');
  for (const hit of document.querySelectorAll('.hit')) {
    const title = hit.querySelector('title');
    const text = title.textContent;
    hit.addEventListener('pointerenter', () => {
      title.textContent = '';
      tip.textContent = text;
      tip.hidden = false;
    });
    hit.addEventListener('pointermove', (event) => {
      const { offsetWidth: width, offsetHeight: height } = tip;
      const left = event.clientX + 16 + width > innerWidth ? event.clientX - width - 16 : event.clientX + 16;
      tip.style.left = Math.max(4, left) + 'px';
      tip.style.top = Math.max(4, Math.min(event.clientY + 16, innerHeight - height - 4)) + 'px';
    });
    hit.addEventListener('pointerleave', () => {
      title.textContent = text;
      tip.hidden = true;
    });
  }
  // A link to a table opens it.
  const open = () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target && target.tagName === 'DETAILS') target.open = true;
  };
  addEventListener('hashchange', open);
})();
