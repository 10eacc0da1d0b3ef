// Requests to the server that this page came from. Answers go one after the other, so
// that an undo takes back what was answered before it.

let last = Promise.resolve();
let sending = 0;

function count(by) {
  sending += by;
  document.body.ariaBusy = String(sending > 0);
}

// What is on its way should arrive before the page goes.
addEventListener("beforeunload", (event) => {
  if (sending) event.preventDefault();
});

async function call(path, options) {
  let reply;
  try {
    reply = await fetch(path, options);
  } catch {
    throw new Error("The program that keeps the labels does not answer. Is it running?");
  }
  const text = await reply.text();
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error(text || `Error ${reply.status}`);
  }
  if (!reply.ok) {
    const error = new Error(found.error);
    error.status = reply.status;
    throw error;
  }
  return found;
}

export function get(name, query) {
  const asked = new URLSearchParams(query).toString();
  return call(`api/${name}${asked ? `?${asked}` : ""}`);
}

// `apart`: what takes seconds and must not keep answers waiting. It is about all that was
// answered before it.
export function post(name, said, apart = false) {
  const send = () =>
    call(`api/${name}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(said),
    });
  if (apart) return last.then(send);
  count(1);
  const sent = last.then(send, send).finally(() => count(-1));
  last = sent.catch(() => {});
  return sent;
}

// A file that has changed has another version, and so is not taken from the cache.
export const picture = ({ row, version }, size) => `picture/${size}/${row}?${version}`;
