// The inspector's service worker. It keeps the page's own files and hands them out when the server cannot be reached, so
// that a page that was opened once works without a network. Otherwise the server answers: its files may be newer.
// build.mjs defines FILES, their names, and VERSION, which changes with what they hold.
const name = `inspector ${VERSION}`;

async function keep() {
  const cache = await caches.open(name);
  await cache.addAll(FILES);
}

async function forgetOthers() {
  const others = (await caches.keys()).filter((each) => each.startsWith("inspector ") && each !== name);
  await Promise.all(others.map((each) => caches.delete(each)));
}

async function answer(request) {
  const kept = () => caches.match(request);
  try {
    const response = await fetch(request);
    return response.ok ? response : ((await kept()) ?? response);
  } catch (error) {
    const found = await kept();
    if (found) return found;
    throw error;
  }
}

addEventListener("install", (event) => event.waitUntil(keep()));
addEventListener("activate", (event) => event.waitUntil(forgetOthers().then(() => clients.claim())));
addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && new URL(url).origin === location.origin) event.respondWith(answer(event.request));
});
