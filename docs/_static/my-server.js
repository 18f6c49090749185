"use strict";
/* Fill the reader's own server into the commands. The values never leave the browser; they are put into
   the page as text, never as HTML, and only such as a shell takes for one word. */

const KEY = "tljh-runbook.my-server";

/* What stands on the pages, where it is meant, and which values may take its place. */
const FIELDS = {
  host: {
    usual: "hub.example.org",
    find: /(?<![\w.-])hub\.example\.org(?![\w-]|\.\w)/g,
    valid: /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/,
    wrong: "A server has letters, digits, dots and hyphens in its name.",
  },
  user: {
    usual: "ubuntu",
    find: /(?<=\bansible_user=)ubuntu\b|(?<![\w.-])ubuntu(?=@)/g,
    valid: /^[a-z_][a-z0-9_-]{0,31}$/,
    wrong: "A user has small letters, digits, hyphens and underscores in its name, and begins with a letter.",
  },
  inventory: {
    usual: "hosts",
    find: /(?<=\s-i\s+)hosts(?=\s|$)/gm,
    valid: /^(?!-)[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]{1,200}$/u,
    wrong: "An inventory is the path of a file, and does not begin with a hyphen.",
  },
};

/* A value as a shell takes it for one word. */
function quoted(value) {
  return /^(~\/)?[\w./:@%+,-]+$/.test(value) ? value : `'${value.replaceAll("'", `'\\''`)}'`;
}

const isValid = (name, value) => typeof value === "string" && FIELDS[name].valid.test(value);

/* What the reader has written down, as far as it may be used: it may be old, or not ours. */
function remembered() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY)) ?? {};
    return Object.fromEntries(Object.keys(FIELDS).filter(name => isValid(name, found[name])).map(name => [name, found[name]]));
  } catch {
    return {};
  }
}

function remember(values) {
  try {
    localStorage.setItem(KEY, JSON.stringify(values));
  } catch { /* a browser that keeps nothing: it holds on this page */ }
}

/* Commands are whole blocks, words of a sentence in code, and typed lines; what was printed is evidence. */
const COMMANDS = 'article .highlight pre, article code.literal';
const PRINTED = ".go, .linenos";

function markAll() {
  for (const block of document.querySelectorAll(COMMANDS)) {
    for (const [name, { find }] of Object.entries(FIELDS)) {
      const text = block.textContent;
      for (const match of [...text.matchAll(find)].reverse()) {
        mark(block, match.index, match[0].length, name);
      }
    }
  }
}

/* Wrap a part of a block, so that another value can be shown in its place. */
function mark(block, start, length, name) {
  const walker = document.createTreeWalker(block, NodeFilter.SHOW_TEXT);
  let before = 0;
  for (let node = walker.nextNode(); node; before += node.length, node = walker.nextNode()) {
    if (start < before || start + length > before + node.length || node.parentElement.closest(PRINTED)) continue;
    const word = node.splitText(start - before);
    word.splitText(length);
    const place = document.createElement("span");
    place.className = "my-value";
    place.dataset.field = name;
    word.replaceWith(place);
    place.append(word);
    return;
  }
}

function fill(values) {
  for (const place of document.querySelectorAll(".my-value")) {
    const { field } = place.dataset;
    place.textContent = field in values ? quoted(values[field]) : FIELDS[field].usual;
    place.classList.toggle("is-mine", field in values);
  }
  const { host, user, inventory } = values;
  const says = [[user, host].filter(Boolean).join("@"), inventory && `inventory ${inventory}`].filter(Boolean);
  document.querySelector("[data-says]").textContent = says.join(", ") || "fill it into the commands";
}

/* The values of the form; what is wrong is said, and nothing is changed. */
function read(form) {
  const given = Object.keys(FIELDS).map(name => [name, form.elements[name].value.trim()]).filter(([, value]) => value);
  const wrong = given.filter(([name, value]) => !isValid(name, value)).map(([name]) => name);
  for (const name of Object.keys(FIELDS)) form.elements[name].setAttribute("aria-invalid", String(wrong.includes(name)));
  form.querySelector("[data-wrong]").textContent = wrong.map(name => FIELDS[name].wrong).join(" ");
  return wrong.length ? undefined : Object.fromEntries(given);
}

function use(values) {
  remember(values);
  fill(values);
}

function open() {
  const panel = document.getElementById("my-server").content.cloneNode(true);
  const form = panel.querySelector("form");
  for (const [name, value] of Object.entries(remembered())) form.elements[name].value = value;
  form.addEventListener("submit", event => {
    event.preventDefault();
    const values = read(form);
    if (values) use(values);
  });
  form.addEventListener("reset", () => {
    use({});
    setTimeout(() => { for (const name of Object.keys(FIELDS)) form.elements[name].value = ""; read(form); });
  });
  document.querySelector("article h1").after(panel);
  fill(remembered());
}

markAll();
if (document.querySelector(".my-value")) open();
