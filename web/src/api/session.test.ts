import { createPinia, setActivePinia } from 'pinia'
import { beforeEach, expect, it, vi } from 'vitest'

import { api, json, type FakeApi } from '../../test/api'
import { session as sessionOf } from '../../e2e/panel/data'
import { RedisServiceAPI } from './RedisServiceAPI'
import { useSession } from './session'

let fake: FakeApi
beforeEach(() => {
  setActivePinia(createPinia())
  fake = api()
})

it('knows nobody, somebody, and that the API gave no answer', async () => {
  fake.on('GET /api/auth/me', 401, {})
  await useSession().load()
  expect(useSession().state).toBe('anonymous')

  setActivePinia(createPinia())
  fake.down(true)
  await useSession().load()
  expect(useSession().state).toBe('unreachable')

  fake.down(false)
  fake.on('GET /api/auth/me', 200, sessionOf('operator'))
  await useSession().load()
  expect(useSession().state).toBe('signed-in')
  expect(useSession().may('restart')).toBe(true)
  expect(useSession().may('stop')).toBe(false)
  expect(useSession().rolesFor('stop')).toEqual(['admin'])
})

it('an ended session keeps who it was, and may nothing any more', async () => {
  fake.on('GET /api/auth/me', 200, sessionOf('admin'))
  await useSession().load()
  fake.on('GET /api/services/redis/auto-recovery', 401, {})
  await RedisServiceAPI.recovery('redis').catch(() => undefined)
  expect(useSession().state).toBe('expired')
  expect(useSession().user?.email).toBe('admin@example.org')
  expect(useSession().may('restart')).toBe(false)
})

it('is not ended by the answer to an old question', async () => {
  vi.useFakeTimers({ now: 1000 })
  fake.on('GET /api/auth/me', 200, sessionOf('admin'))
  await useSession().load()
  let late: (r: Response) => void = () => undefined
  fake.answer('GET /api/services/redis/auto-recovery', () => new Promise((resolve) => { late = resolve }))
  const asked = RedisServiceAPI.recovery('redis').catch(() => undefined)
  vi.setSystemTime(2000)
  fake.on('POST /api/auth/login', 200, sessionOf('admin'))
  await useSession().signIn('a@example.org', 'x')
  late(json(401, {}))
  await asked
  expect(useSession().state).toBe('signed-in')
  vi.useRealTimers()
})

it('signs in and out', async () => {
  fake.on('POST /api/auth/login', 200, sessionOf('viewer'))
  fake.on('POST /api/auth/logout', 204, null)
  await useSession().signIn('v@example.org', 'x')
  expect(useSession().user?.role).toBe('viewer')
  await useSession().signOut()
  expect(useSession().user).toBeNull()
})
