// Keeps the files of the panel, so that a link from a pager opens even when the control API, which serves them, is away. It
// keeps no answer of the API: what is known of a service is never older than the page that asked for it.
const CACHE = 'panel-v1'
const SHELL = '/index.html'
const NAVIGATION_TIMEOUT_MS = 4000
// A file is the same whatever was asked along with it.
const ANY = { ignoreVary: true }

self.addEventListener('install', (event) => event.waitUntil(self.skipWaiting()))
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim().then(keepAll)))

self.addEventListener('fetch', (event) => {
  const { request } = event
  const url = new URL(request.url)
  if (request.method !== 'GET' || url.origin !== self.location.origin) return
  if (/^\/(api|ws|-|metrics)(\/|$)/.test(url.pathname) || url.pathname === '/openapi.yaml') return
  if (request.mode === 'navigate') event.respondWith(page(event))
  else if (url.pathname.startsWith('/assets/')) event.respondWith(asset(request))
  else if (url.pathname.startsWith('/icons/')) event.respondWith(icon(request))
})

/** The newest page there is; the kept one when the server gives none in time. */
async function page(event) {
  try {
    const fresh = await fetch(event.request, { signal: AbortSignal.timeout(NAVIGATION_TIMEOUT_MS) })
    if (!fresh.ok) return (await caches.match(SHELL, ANY)) ?? fresh
    event.waitUntil(keepIfNew(fresh.clone()))
    return fresh
  } catch (error) {
    const kept = await caches.match(SHELL, ANY)
    if (kept) return kept
    throw error
  }
}

/** Files under assets/ have a hash in their name: the kept one is the right one. */
async function asset(request) {
  return (await caches.match(request, ANY)) ?? fetch(request)
}

async function icon(request) {
  try {
    return await fetch(request)
  } catch (error) {
    const kept = await caches.match(request, ANY)
    if (kept) return kept
    throw error
  }
}

async function keepIfNew(response) {
  const kept = await caches.match(SHELL, ANY)
  const [now, before] = await Promise.all([response.text(), kept ? kept.text() : ''])
  if (now !== before) await keepAll()
}

/** Keeps the page and every file of the same build, and drops those of older ones. */
async function keepAll() {
  const cache = await caches.open(CACHE)
  const manifest = await (await fetch('/manifest.json', { cache: 'no-cache' })).json()
  const files = new Set([SHELL])
  for (const chunk of Object.values(manifest)) {
    for (const file of [chunk.file, ...(chunk.css ?? []), ...(chunk.assets ?? [])]) files.add(`/${file}`)
  }
  for (const level of ['down', 'degraded', 'recovering', 'unknown', 'stopped', 'healthy']) files.add(`/icons/${level}.svg`)
  await cache.addAll(files)
  for (const request of await cache.keys()) {
    if (!files.has(new URL(request.url).pathname)) await cache.delete(request)
  }
}
