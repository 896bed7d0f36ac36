import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { api, json, type FakeApi } from '../../test/api'
import { serverTime } from './clock'
import { ApiError, call, newIdempotencyKey, setUnauthorizedListener } from './client'
import { RedisServiceAPI } from './RedisServiceAPI'

let fake: FakeApi
beforeEach(() => {
  fake = api()
})
afterEach(() => setUnauthorizedListener(() => undefined))

async function failureOf(promise: Promise<unknown>): Promise<ApiError> {
  const error: unknown = await promise.then(() => null, (e: unknown) => e)
  if (!(error instanceof ApiError)) throw new Error(`not an ApiError: ${String(error)}`)
  return error
}

describe('a failed call', () => {
  it('keeps what the server said', async () => {
    fake.on('GET /api/x', 409, { detail: 'ann is running a stop', busy: { by: 'ann', operation: 'stop', since: '' } })
    const error = await failureOf(call('GET', '/api/x'))
    expect(error).toMatchObject({ kind: 'http', status: 409, message: 'ann is running a stop', unreachable: false })
    expect(error.problem?.busy?.by).toBe('ann')
  })
  it('says that nobody answered', async () => {
    fake.down(true)
    const error = await failureOf(call('GET', '/api/x'))
    expect(error).toMatchObject({ kind: 'network', unreachable: true })
    expect(error.cause).toBeInstanceOf(TypeError)
  })
  it('tells an error page from an answer of the API', async () => {
    fake.answer('GET /api/x', () => new Response('<html>', { status: 502 }))
    expect(await failureOf(call('GET', '/api/x'))).toMatchObject({ kind: 'shape', status: 502, unreachable: true })
  })
  it('ends at its deadline', async () => {
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => new Promise((_resolve, reject) => init.signal?.addEventListener('abort', () => reject(new Error('aborted')))))
    expect(await failureOf(call('GET', '/api/x', { timeoutMs: 20 }))).toMatchObject({ kind: 'timeout', unreachable: true })
  })
  it('carries the time to wait', async () => {
    fake.on('GET /api/x', 503, { detail: 'no' }, { 'Retry-After': '12' })
    expect((await failureOf(call('GET', '/api/x'))).retryAfterSeconds).toBe(12)
  })
})

describe('the end of a session', () => {
  it('is told once the server says 401', async () => {
    const ended = vi.fn()
    setUnauthorizedListener(ended)
    fake.on('GET /api/x', 401, { detail: 'expired' })
    await failureOf(call('GET', '/api/x'))
    expect(ended).toHaveBeenCalledOnce()
  })
  it('is not told by a wrong password', async () => {
    const ended = vi.fn()
    setUnauthorizedListener(ended)
    fake.on('POST /api/auth/login', 401, { detail: 'wrong' })
    await failureOf(RedisServiceAPI.signIn('a@b.c', 'x'))
    expect(ended).not.toHaveBeenCalled()
  })
})

describe('what is sent', () => {
  it('marks every change as the panel\'s, with a key that makes repeating it harmless', async () => {
    fake.on('POST /api/services/redis/stop', 200, {})
    await RedisServiceAPI.operate('redis', 'stop', 'key-1', 'token-1')
    expect(fake.sent[0]).toMatchObject({
      method: 'POST',
      body: { confirmation: true, confirmation_token: 'token-1' },
      headers: { 'X-Requested-With': 'redis-medic-panel', 'Idempotency-Key': 'key-1', 'Content-Type': 'application/json' },
    })
  })
  it('is the document\'s empty body for start and restart', async () => {
    fake.on('POST /api/services/redis/restart', 200, {})
    await RedisServiceAPI.operate('redis', 'restart', 'key-1')
    expect(fake.sent[0]?.body).toEqual({})
  })
  it('keeps a service\'s name inside its part of the path', async () => {
    await failureOf(RedisServiceAPI.status('../auth/me?x='))
    expect(fake.sent[0]?.path).toBe('/api/services/..%2Fauth%2Fme%3Fx%3D/status')
  })
  it('leaves empty filters out', async () => {
    fake.on('GET /api/audit', 200, { records: [], next_cursor: null })
    await RedisServiceAPI.audit({ service: 'redis', user: '', phase: 'denied', cursor: undefined, limit: 50 })
    expect(fake.sent[0]?.path).toBe('/api/audit?service=redis&phase=denied&limit=50')
  })
})

it('learns how far the server\'s clock is off', async () => {
  const server = new Date(Date.now() + 3_600_000)
  fake.answer('GET /api/x', () => json(200, {}, { Date: server.toUTCString() }))
  await call('GET', '/api/x')
  expect(Math.abs(serverTime(Date.now()) - server.getTime())).toBeLessThan(2000)
  fake.answer('GET /api/x', () => json(200, {}, { Date: new Date().toUTCString() }))
  await call('GET', '/api/x')
  expect(Math.abs(serverTime(Date.now()) - Date.now())).toBeLessThan(2000)
})

it('keys are long and different', () => {
  const keys = new Set(Array.from({ length: 50 }, newIdempotencyKey))
  expect(keys.size).toBe(50)
  expect([...keys].every((k) => /^[0-9a-f]{32}$/.test(k))).toBe(true)
})
