"use strict";
/* Find what a message of the terminal means. What is typed or pasted may be a part of the message, or
   more than it, and it names files and servers that the guide cannot know. */

const AT_MOST = 5;

/* The words of a text in small letters, and paths in their parts. */
const wordsOf = text => text.toLowerCase().match(/[\p{L}\p{N}_]+/gu) ?? [];

/* How many words two texts have in common, in the same order. */
function inCommon(one, other) {
  let row = new Array(other.length + 1).fill(0);
  for (const word of one) {
    const next = [0];
    other.forEach((each, n) => next.push(word === each ? row[n] + 1 : Math.max(row[n + 1], next[n])));
    row = next;
  }
  return row[other.length];
}

/* The messages that are meant, the likeliest first: [shown, address, page]. */
function symptomsLike(question) {
  const asked = wordsOf(question);
  return SYMPTOMS
    .map(([shown, holes, address, page]) => {
      const words = wordsOf(holes);
      const common = inCommon(words, asked);
      return { shown, address, page, common, length: words.length, whole: common / words.length, part: common / asked.length };
    })
    .filter(each => each.common >= Math.min(2, each.length) && (each.whole >= 0.8 || each.part >= 0.75))
    .sort((a, b) => b.common - a.common || b.whole - a.whole)
    .slice(0, AT_MOST)
    .map(({ shown, address, page }) => [shown, address, page]);
}

function showSymptoms(question) {
  const found = symptomsLike(question);
  const section = document.getElementById("symptoms");
  section.hidden = found.length === 0;
  section.querySelector("ul").replaceChildren(...found.map(([shown, address, page]) => {
    const link = document.createElement("a");
    link.href = address;
    link.textContent = shown;
    const item = document.createElement("li");
    item.append(link, ` (${page})`);
    return item;
  }));
}

showSymptoms(new URLSearchParams(window.location.search).get("q") ?? "");
