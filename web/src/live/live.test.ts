// @vitest-environment happy-dom
import { createPinia, setActivePinia } from 'pinia'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import type { LiveEvent } from '@/api/schema'
import { useSession } from '@/api/session'

import { api, json, type FakeApi } from '../../test/api'
import { FakeSocket } from '../../test/socket'
import { critical, failed, healthy, incident, quiet, running, session as sessionOf } from '../../e2e/panel/data'
import { useLive } from './live'

let fake: FakeApi

/** Lets answers arrive and moves the clock on, second by second. */
async function pass(seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) await vi.advanceTimersByTimeAsync(1000)
}

const push = (event: Partial<LiveEvent>) => FakeSocket.last.send({ type: 'service_status', service: 'redis', timestamp: new Date().toISOString(), ...event })

const fresh = () => ({ ...running(), last_check: new Date().toISOString() })

beforeEach(async () => {
  vi.useFakeTimers({ now: new Date('2026-01-01T03:00:00Z') })
  FakeSocket.all = []
  vi.stubGlobal('WebSocket', FakeSocket)
  setActivePinia(createPinia())
  fake = api()
  fake.answer('GET /api/services/redis/status', () => json(200, fresh()))
  fake.on('GET /api/services/redis/health', 200, healthy())
  fake.on('GET /api/services/redis/auto-recovery', 200, quiet())
  fake.on('GET /api/auth/me', 200, sessionOf('admin'))
  await useSession().load()
})

afterEach(() => {
  useLive().unfollow()
  vi.useRealTimers()
})

async function followed() {
  const live = useLive()
  live.follow('redis')
  await pass(1)
  FakeSocket.last.onopen?.()
  push({ seq: 41, snapshot: true, status: 'running', details: { pid: 1, connections: 1, memory_mb: 1 } })
  await pass(1)
  return live
}

describe('a link that stands', () => {
  it('shows what was fetched, then lives on messages', async () => {
    const live = await followed()
    expect(live.phase).toBe('live')
    expect(live.level).toBe('healthy')
    push({ seq: 42, type: 'health', health: critical() })
    push({ seq: 43, status: 'failed' })
    expect(live.level).toBe('down')
    expect(live.status?.pid).toBeNull()
  })

  it('ignores a message that it has seen', async () => {
    const live = await followed()
    push({ seq: 40, status: 'failed' })
    expect(live.status?.status).toBe('running')
  })

  it('fetches everything again after a hole', async () => {
    await followed()
    const before = fake.sent.length
    push({ seq: 44, status: 'running' })
    await pass(1)
    expect(fake.sent.slice(before).map((s) => s.path)).toContain('/api/services/redis/health')
  })

  it('is not set back by an answer that was older than a message', async () => {
    const live = await followed()
    let late: (r: Response) => void = () => undefined
    fake.answer('GET /api/services/redis/health', () => new Promise((resolve) => { late = resolve }))
    void live.refresh()
    await vi.advanceTimersByTimeAsync(10)
    push({ seq: 42, type: 'health', health: critical() })
    fake.on('GET /api/services/redis/health', 200, critical())
    late(json(200, healthy()))
    await pass(1)
    expect(live.level).toBe('down')
  })

  it('asks once more when it was asked while it was asking', async () => {
    const live = await followed()
    let late: (r: Response) => void = () => undefined
    fake.answer('GET /api/services/redis/health', () => new Promise((resolve) => { late = resolve }))
    void live.refresh()
    void live.refresh()
    await vi.advanceTimersByTimeAsync(10)
    const before = fake.sent.length
    fake.on('GET /api/services/redis/health', 200, critical())
    late(json(200, healthy()))
    await pass(1)
    expect(fake.sent.length).toBe(before + 3)
    expect(live.level).toBe('down')
  })

  it('takes an incident from its message', async () => {
    const live = await followed()
    fake.on('GET /api/services/redis/auto-recovery', 200, { ...quiet(), incident: incident() })
    push({ seq: 42, type: 'incident', incident: incident() })
    expect(live.recovery?.incident?.id).toBe('inc-7f3a')
    expect(live.events).toHaveLength(1)
  })

  it('asks by itself when an open socket is silent', async () => {
    const live = await followed()
    const before = fake.sent.length
    await pass(16)
    expect(fake.sent.length).toBeGreaterThan(before)
    expect(live.level).toBe('healthy')
  })
})

describe('a link that breaks', () => {
  it('changes nothing for five seconds, then says that nothing is known', async () => {
    const live = await followed()
    fake.down(true)
    FakeSocket.last.onclose?.({ code: 1006 })
    await pass(2)
    expect(live.phase).toBe('reconnecting')
    expect(live.level).toBe('healthy')
    await pass(4)
    expect(live.phase).toBe('away')
    expect(live.level).toBe('unknown')
    expect(live.known.word).toBe('Healthy')
    expect(live.failure?.kind).toBe('network')
  })

  it('notices a half-open socket by its silence', async () => {
    const live = await followed()
    fake.answer('GET /api/services/redis/status', () => new Promise(() => undefined))
    fake.answer('GET /api/services/redis/health', () => new Promise(() => undefined))
    fake.down(true)
    await pass(22)
    expect(live.phase).toBe('away')
    expect(live.level).toBe('unknown')
    expect(FakeSocket.last.closed).toBe(true)
  })

  it('dials again when an answer tells a change that the socket did not', async () => {
    await followed()
    const first = FakeSocket.last
    fake.answer('GET /api/services/redis/status', () => json(200, { ...fresh(), pid: 777 }))
    await pass(18)
    expect(first.closed).toBe(true)
    expect(FakeSocket.last.url).toMatch(/after=41$/)
  })

  it('takes an error page of a proxy for an absent API', async () => {
    const live = await followed()
    const page = () => new Response('<h1>503</h1>', { status: 503 })
    fake.answer('GET /api/services/redis/status', page)
    fake.answer('GET /api/services/redis/health', page)
    FakeSocket.last.onclose?.({ code: 1006 })
    await pass(7)
    expect(live.phase).toBe('away')
    expect(live.failure?.kind).toBe('shape')
  })

  it('resumes after the last message when the API is back', async () => {
    const live = await followed()
    fake.down(true)
    FakeSocket.last.onclose?.({ code: 1006 })
    await pass(8)
    fake.down(false)
    window.dispatchEvent(new Event('online'))
    await pass(1)
    expect(FakeSocket.last.url).toMatch(/\?after=41$/)
    FakeSocket.last.onopen?.()
    await pass(1)
    expect(live.phase).toBe('live')
    expect(live.level).toBe('healthy')
  })

  it('falls back to asking when only the socket is refused', async () => {
    const live = useLive()
    live.follow('redis')
    await pass(1)
    FakeSocket.last.onclose?.({ code: 1006 })
    await pass(2)
    expect(live.phase).toBe('polling')
    expect(live.level).toBe('healthy')
  })
})

it('is unknown when the measurements are old, though the API answers', async () => {
  const old = new Date().toISOString()
  fake.answer('GET /api/services/redis/status', () => json(200, { ...running(), last_check: old }))
  const live = useLive()
  live.follow('redis')
  await pass(40)
  expect(live.level).toBe('healthy')
  await pass(20)
  expect(live.phase).not.toBe('away')
  expect(live.level).toBe('unknown')
})

it('asks who this is when the server ends the session', async () => {
  await followed()
  fake.on('GET /api/auth/me', 401, { detail: 'The credentials have expired' })
  FakeSocket.last.onclose?.({ code: 4401 })
  await pass(1)
  expect(useSession().state).toBe('expired')
})

it('forgets one service when another is followed', async () => {
  const live = await followed()
  fake.answer('GET /api/services/other/status', () => json(200, { ...failed(), last_check: new Date().toISOString() }))
  fake.on('GET /api/services/other/health', 200, critical())
  fake.on('GET /api/services/other/auto-recovery', 200, quiet())
  live.follow('other')
  expect(live.status).toBeNull()
  await pass(1)
  expect(FakeSocket.all[0]?.closed).toBe(true)
  expect(FakeSocket.last.url).toMatch(/services\/other\/status$/)
  expect(live.level).toBe('down')
})
