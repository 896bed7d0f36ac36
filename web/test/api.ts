import { vi } from 'vitest'

interface Sent {
  method: string
  path: string
  body: unknown
  headers: Record<string, string>
}

type Reply = () => Promise<Response> | Response

export interface FakeApi {
  /** What was sent, in order. */
  sent: Sent[]
  on: (route: string, status: number, body: unknown, headers?: Record<string, string>) => void
  /** Answers by hand: to hold an answer back, or to fail. */
  answer: (route: string, reply: Reply) => void
  /** Nothing answers any more, or again. */
  down: (yes: boolean) => void
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Response {
  const empty = status === 204
  return new Response(empty ? null : JSON.stringify(body), { status, headers: { 'Content-Type': 'application/json', ...headers } })
}

/** Takes the place of the network. A route that nobody set is a 404 of the API. */
export function api(): FakeApi {
  const routes = new Map<string, Reply>()
  const sent: Sent[] = []
  let away = false
  vi.stubGlobal('fetch', async (input: string, init: RequestInit = {}) => {
    if (away) throw new TypeError('fetch failed')
    const method = init.method ?? 'GET'
    const path = input.split('?')[0] ?? ''
    sent.push({ method, path: input, body: init.body ? JSON.parse(String(init.body)) : undefined, headers: init.headers as Record<string, string> })
    const reply = routes.get(`${method} ${path}`)
    return reply ? reply() : json(404, { detail: 'No such path' })
  })
  return {
    sent,
    on: (route, status, body, headers) => void routes.set(route, () => json(status, body, headers)),
    answer: (route, reply) => void routes.set(route, reply),
    down: (yes) => {
      away = yes
    },
  }
}
