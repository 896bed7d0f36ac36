// @vitest-environment happy-dom
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { effectScope, type EffectScope } from 'vue'

import type { LogMessage } from '@/api/schema'
import { useSession } from '@/api/session'
import { useLive } from '@/live/live'

import { session as sessionOf } from '../../e2e/panel/data'
import { api, type FakeApi } from '../../test/api'
import { FakeSocket } from '../../test/socket'
import { useLogFollow, type LogFollow } from './follow'

let fake: FakeApi
let scope: EffectScope

const pass = (seconds: number) => vi.advanceTimersByTimeAsync(seconds * 1000)
const stamp = (second: number) => `2026-01-01T02:59:${String(second).padStart(2, '0')}Z`

function say(second: number, over: Partial<LogMessage> = {}): void {
  const line = { timestamp: stamp(second), level: 'info', message: `m${second}`, source: 'redis' }
  FakeSocket.last.send({ type: 'log', service: 'redis', lines: [line], error: null, ...over })
}

const texts = (f: LogFollow) => f.tail.value.rows.map((r) => r.line?.message)
const reads = () => fake.sent.filter((s) => s.path.startsWith('/api/services/redis/logs'))

beforeEach(async () => {
  vi.useFakeTimers({ now: new Date('2026-01-01T03:00:00Z') })
  FakeSocket.all = []
  vi.stubGlobal('WebSocket', FakeSocket)
  setActivePinia(createPinia())
  scope = effectScope()
  fake = api()
  fake.on('GET /api/auth/me', 200, sessionOf('admin'))
  await useSession().load()
})

afterEach(() => {
  scope.stop()
  vi.useRealTimers()
})

function followed(): LogFollow {
  const f = scope.run(() => useLogFollow('redis'))
  if (!f) throw new Error('the scope has ended')
  f.start(200, 'warning')
  FakeSocket.last.onopen?.()
  say(1, { snapshot: true })
  return f
}

it('asks for the lines that are wanted, and takes what comes', () => {
  const f = followed()
  expect(FakeSocket.last.url).toMatch(/\/ws\/services\/redis\/logs\?lines=200&level=warning$/)
  expect(f.state.value).toBe('following')
  say(2)
  expect(texts(f)).toEqual(['m1', 'm2'])
})

it('goes on from where it was lost', async () => {
  const f = followed()
  FakeSocket.last.onclose?.({ code: 1001 })
  expect([f.state.value, f.why.value]).toEqual(['interrupted', 'the connection was lost.'])
  await pass(2)
  expect(FakeSocket.all).toHaveLength(2)
  const asked = new URL(FakeSocket.last.url).searchParams
  expect([asked.get('since'), asked.get('lines'), asked.get('level')]).toEqual(['2026-01-01T02:58:51.000Z', '1000', 'warning'])
  say(1, { snapshot: true })
  say(2)
  expect(texts(f)).toEqual(['m1', 'm2'])
  expect(f.state.value).toBe('following')
  expect(reads()).toHaveLength(0)
})

it('does not dial while the API is away', async () => {
  const f = followed()
  useLive().link.suspectSince = Date.now()
  FakeSocket.last.onclose?.({ code: 1006 })
  await pass(20)
  expect([FakeSocket.all.length, f.state.value]).toEqual([1, 'interrupted'])
  useLive().link.suspectSince = null
  await pass(2)
  expect(FakeSocket.all).toHaveLength(2)
})

describe('a connection that is refused', () => {
  const refused = async (status: number, body: object, headers = {}) => {
    fake.on('GET /api/services/redis/logs', status, body, headers)
    const f = followed()
    FakeSocket.last.onclose?.({ code: 4403 })
    await pass(0.01)
    return f
  }
  it('ends when the right to see logs was lost', async () => {
    const f = await refused(403, { detail: 'no', required_roles: ['admin'], user_role: 'operator' })
    expect([f.state.value, f.why.value]).toEqual(['ended', 'logs need admin; you are operator.'])
    await pass(120)
    expect(FakeSocket.all).toHaveLength(1)
    expect(texts(f)).toEqual(['m1'])
  })
  it('ends when the service is gone', async () => {
    const f = await refused(404, { detail: 'There is no service redis' })
    expect([f.state.value, f.why.value]).toEqual(['ended', 'this service is not in the configuration of the server any more.'])
  })
  it('goes on when the new role may see logs too', async () => {
    const f = await refused(200, { logs: [], total_lines: 0, service: '', vm: '' })
    await pass(2)
    expect(FakeSocket.all).toHaveLength(2)
    say(2)
    expect(f.state.value).toBe('following')
  })
  it('waits as long as the server asks for, and says why', async () => {
    const f = await refused(503, { detail: 'The host cannot be reached.' }, { 'Retry-After': '30' })
    expect([f.state.value, f.why.value]).toEqual(['interrupted', 'The host cannot be reached.'])
    await pass(29)
    expect(FakeSocket.all).toHaveLength(1)
    await pass(2)
    expect(FakeSocket.all).toHaveLength(2)
  })
})

it('ends with the session, and goes on with the next one', async () => {
  const f = followed()
  fake.on('GET /api/auth/me', 401, { detail: 'expired' })
  FakeSocket.last.onclose?.({ code: 4401 })
  await pass(60)
  expect([f.state.value, FakeSocket.all.length]).toEqual(['signed-out', 1])
  fake.on('POST /api/auth/login', 200, sessionOf('admin'))
  await useSession().signIn('a@example.org', 'x')
  expect(FakeSocket.all).toHaveLength(2)
  say(2)
  expect(texts(f)).toEqual(['m1', 'm2'])
})

it('stops when it is told to, and when its page is left', async () => {
  const f = followed()
  f.stop()
  expect(FakeSocket.last.closed).toBe(true)
  FakeSocket.last.onclose?.({ code: 1005 })
  say(2)
  await pass(60)
  expect([f.state.value, texts(f), FakeSocket.all.length]).toEqual(['off', ['m1'], 1])
  f.start(50, '')
  expect(texts(f)).toEqual([])
  scope.stop()
  expect(FakeSocket.last.closed).toBe(true)
})
