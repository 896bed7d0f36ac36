import { describe, expect, it } from 'vitest'

import * as data from '../../e2e/panel/data'
import { entriesOf, offsetOf, outageSeconds, stepLook } from './entries'
import { recentActs } from './recent'
import { trackOf } from './track'

it('puts incidents and people\'s acts on one axis, newest first', () => {
  const ids = entriesOf([data.closedIncident(), data.incident()], data.auditRecords()).map((e) => e.id)
  expect(ids).toEqual(['inc-7f3a', 'act-2', 'inc-51c0'])
})

it('an outage is counted from the alert to the first PONG', () => {
  expect(outageSeconds(data.closedIncident())).toBeCloseTo(4, 0)
  expect(outageSeconds(data.incident())).toBeNull()
})

it('steps carry their distance from the opening', () => {
  const i = data.incident()
  const step = (seconds: number) => ({ kind: 'observed', text: '', at: new Date(Date.parse(i.opened_at) + seconds * 1000).toISOString() })
  expect([0.25, 42, 600].map((s) => offsetOf(step(s), i))).toEqual(['+0.3 s', '+42 s', '+10 m'])
})

it('a step looks like its result', () => {
  const step = { at: '', text: '' }
  expect(stepLook({ ...step, kind: 'outcome', result: 'failure' })).toEqual({ level: 'down', word: 'Outcome' })
  expect(stepLook({ ...step, kind: 'outcome', result: 'unknown' }).level).toBe('degraded')
  expect(stepLook({ ...step, kind: 'wondered' })).toEqual({ level: 'unknown', word: 'wondered' })
})

describe('the last acts', () => {
  it('are those of people and of the machine', () => {
    const acts = recentActs([data.incident()], data.auditRecords(), [], 5)
    expect(acts.map((a) => [a.who, a.operation, a.success])).toEqual([
      ['redis-medic', 'start', false],
      ['ann@example.org', 'restart', true],
    ])
  })
  it('hold an act that came as a message, once', () => {
    const event = (timestamp: string) => ({ seq: 9, type: 'service_event' as const, service: 'redis', timestamp, event: 'restart', user: 'ann@example.org', result: 'success' })
    const records = data.auditRecords()
    const same = records.find((r) => r.seq === 2)?.timestamp ?? ''
    expect(recentActs([], records, [event(same)], 5)).toHaveLength(1)
    expect(recentActs([], records, [event(data.ago(1))], 5).map((a) => a.id)).toEqual(['event-9', 'act-2'])
    expect(recentActs([], [], [{ ...event(data.ago(1)), result: 'started' }], 5)).toEqual([])
  })
})

describe('the drawing of an incident', () => {
  it('has every step in its place, and where Redis was back', () => {
    const track = trackOf(data.closedIncident())
    expect(track?.marks).toHaveLength(5)
    expect(track?.marks.at(-1)?.at).toBe(1)
    expect(track?.backAt).toBeCloseTo(4 / 14, 1)
    expect(track?.labels.at(-1)?.text).toBe('14 s')
  })
  it('has no end of the outage while it lasts, and none at all without a length', () => {
    expect(trackOf(data.incident())?.backAt).toBeNull()
    expect(trackOf({ ...data.incident(), steps: [] })).toBeNull()
  })
})
