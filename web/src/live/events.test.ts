import { describe, expect, it } from 'vitest'

import type { LiveEvent, ServiceStatus } from '@/api/schema'

import { closedIncident, healthy, incident, quiet, running } from '../../e2e/panel/data'
import { isHealth, isLiveEvent, needsRefetch, orderOf, withIncident, withStatus } from './events'

const event = (over: Partial<LiveEvent>): LiveEvent => ({ seq: 1, type: 'service_status', service: 'redis', timestamp: '2026-01-01T00:00:00Z', ...over })

describe('order of messages', () => {
  it.each([
    ['the first', 0, { seq: 900 }, 'apply'],
    ['the next', 900, { seq: 901 }, 'apply'],
    ['one that was seen', 901, { seq: 901 }, 'old'],
    ['an older one', 901, { seq: 7 }, 'old'],
    ['one after a hole', 901, { seq: 903 }, 'gap'],
    ['a snapshot of an earlier number', 901, { seq: 5, snapshot: true }, 'apply'],
    ['one without a number', 901, { seq: 0 }, 'apply'],
  ] as const)('%s', (_, last, e, want) => expect(orderOf(last, e)).toBe(want))
})

describe('a status message', () => {
  it('keeps what it does not speak of', () => {
    const before = running()
    const after = withStatus(before, event({ status: 'running', details: { pid: 7, connections: 3, memory_mb: 1.5 } })) as ServiceStatus
    expect(after).toMatchObject({ pid: 7, connections: 3, memory_mb: 1.5, uptime_seconds: before.uptime_seconds, vm_info: before.vm_info })
    expect(after.last_check).toBe('2026-01-01T00:00:00Z')
  })
  it('drops the figures of a process that is gone', () => {
    expect(withStatus(running(), event({ status: 'failed' }))).toMatchObject({
      status: 'failed', pid: null, connections: null, memory_mb: null, uptime_seconds: null,
    })
  })
  it('is not believed with a word that is not in the list', () => {
    const before = running()
    expect(withStatus(before, event({ status: 'exploded' }))).toBe(before)
    expect(withStatus(null, event({}))).toBeNull()
  })
})

it('an incident is open until it is closed', () => {
  expect(withIncident(quiet(), incident())?.incident?.id).toBe('inc-7f3a')
  expect(withIncident({ ...quiet(), incident: incident() }, closedIncident())?.incident).toBeNull()
  expect(withIncident(null, incident())).toBeNull()
})

it('only changes ask for the figures again', () => {
  expect(needsRefetch(event({ type: 'auto_recovery' }))).toBe(true)
  expect(needsRefetch(event({ type: 'service_status' }))).toBe(false)
  expect(needsRefetch(event({ type: 'degradation', snapshot: true }))).toBe(false)
})

it('what is not a message is not taken for one', () => {
  expect([null, 1, 'x', {}, { type: 3 }].some(isLiveEvent)).toBe(false)
  expect(isLiveEvent(event({}))).toBe(true)
  expect([undefined, {}, { overall_status: 1 }].some(isHealth)).toBe(false)
  expect(isHealth(healthy())).toBe(true)
})
