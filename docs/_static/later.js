// Scripts that serve only a reader who does something are fetched when one does, in their order:
// until then the page is all that a slow connection has to bring.
(() => {
  const own = document.currentScript;
  const events = ["pointermove", "pointerdown", "keydown", "focusin", "scroll"];
  const begin = () => {
    events.forEach((event) => removeEventListener(event, begin));
    for (const name of own.dataset.files.split(" ")) {
      const script = document.createElement("script");
      script.src = new URL(name, own.src);
      script.async = false;
      document.head.append(script);
    }
  };
  events.forEach((event) => addEventListener(event, begin, { passive: true }));
  // Who comes from the search sees the words marked at once.
  if (location.search.includes("highlight=") || localStorage.getItem("sphinx_highlight_terms")) begin();
})();
