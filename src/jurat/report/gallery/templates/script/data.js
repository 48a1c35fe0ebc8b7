"use strict";
// Where data comes from: blocks of the page, or scripts beside it that hold nothing but data.
(() => {
  const here = new Map();
  const waiting = new Map();
  const MOST = 80; // blocks of evidence that are kept; older ones are read again

  const near = (url) => {
    if (!/^[^/\\]+\/(columns|items-\d+)\.js$/.test(url)) throw new TypeError(`not data of this page: ${url}`);
    return url;
  };
  const policy = globalThis.trustedTypes?.createPolicy("jurat", { createScriptURL: near }) ?? {
    createScriptURL: near,
  };

  // Called by the scripts beside the page.
  jurat.keep = (name, value) => {
    here.set(name, value);
    waiting.get(name)?.resolve(value);
    waiting.delete(name);
    if (here.size > MOST) here.delete([...here.keys()].find((key) => key.startsWith("items-")));
  };

  jurat.load = (name) => {
    if (here.has(name)) return Promise.resolve(here.get(name));
    if (waiting.has(name)) return waiting.get(name).promise;
    const block = document.getElementById(name);
    if (block) {
      jurat.keep(name, JSON.parse(block.textContent));
      return Promise.resolve(here.get(name));
    }
    const { files } = jurat.table;
    if (!files) return Promise.reject(new Error(`${name} is not in this page`));
    const promise = new Promise((resolve, reject) => waiting.set(name, { resolve, reject }));
    waiting.get(name).promise = promise;
    const script = document.createElement("script");
    script.src = policy.createScriptURL(`${encodeURIComponent(files)}/${name}.js`);
    script.addEventListener("error", () => {
      waiting.get(name)?.reject(new Error(`${name}.js is not beside this page`));
      waiting.delete(name);
    });
    script.addEventListener("load", () => script.remove());
    document.head.append(script);
    return promise;
  };

  jurat.item = async (row) => {
    const { chunk } = jurat.table;
    return (await jurat.load(`items-${Math.floor(row / chunk)}`))[row % chunk];
  };

  // The picture's address, or null where there is none.
  jurat.picture = (row) => {
    const { pictures, files } = jurat.table;
    if (!pictures[row]) return null;
    if (files) return `${encodeURIComponent(files)}/picture-${row}.webp`;
    const block = document.getElementById(`picture-${row}`);
    return block && JSON.parse(block.textContent);
  };

  const bytes = (text) => {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const raw = atob(text);
    const out = new Uint8Array(raw.length);
    for (let i = 0; i < out.length; i++) out[i] = raw.charCodeAt(i);
    return out;
  };
  const floats = (text) => new Float32Array(bytes(text).buffer);
  jurat.bytes = bytes;
  jurat.floats = floats;

  // The columns as typed arrays.
  jurat.unpack = (packed) => ({
    ...packed,
    outcome: bytes(packed.outcome),
    before: packed.before && bytes(packed.before),
    score: floats(packed.score),
    carried: packed.carried.map((column) => ({ ...column, codes: bytes(column.codes) })),
    ...jurat.hooks.unpack(packed),
  });
})();
