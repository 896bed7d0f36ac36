import { describe, expect, it } from 'vitest'

import { ageOf, backoff, phaseOf, planAt, staleAfter, trustOf, type Link, type Timetable } from './freshness'

const NOW = 1_000_000
const link = (over: Partial<Link> = {}): Link => ({ socketOpen: true, socketTried: true, suspectSince: null, heardAt: NOW, ...over })
const table = (over: Partial<Timetable> = {}): Timetable => ({ polling: false, dialling: false, polledAt: 0, retryAt: 0, ...over })

describe('phase of the link', () => {
  it.each([
    ['nothing was heard so far', link({ heardAt: null, socketOpen: false }), 'connecting'],
    ['the first dial is under way', link({ socketOpen: false, socketTried: false }), 'connecting'],
    ['the socket is open', link(), 'live'],
    ['the API answers, but the socket does not open', link({ socketOpen: false }), 'polling'],
    ['it was lost just now', link({ suspectSince: NOW - 4_999 }), 'reconnecting'],
    ['it was lost five seconds ago', link({ suspectSince: NOW - 5_000 }), 'away'],
    ['it was never there', link({ heardAt: null, suspectSince: NOW - 60_000 }), 'away'],
  ])('%s', (_, l, want) => expect(phaseOf(l, NOW)).toBe(want))
})

describe('age', () => {
  it('is the worse of both clocks', () => {
    expect(ageOf({ heardAt: NOW - 1000, measuredAtServer: NOW - 9000 }, NOW, NOW)).toBe(9000)
    expect(ageOf({ heardAt: NOW - 8000, measuredAtServer: NOW - 2000 }, NOW, NOW)).toBe(8000)
  })
  it('is never negative, even when a clock was set back', () => {
    expect(ageOf({ heardAt: NOW + 5000, measuredAtServer: NOW + 5000 }, NOW, NOW)).toBe(0)
  })
})

describe('trust', () => {
  const at = (age: number) => ({ heardAt: NOW - age, measuredAtServer: NOW - age })
  it.each([
    ['nothing known', null, 'live', 'none'],
    ['fresh', at(1000), 'live', 'fresh'],
    ['at the limit', at(45_000), 'live', 'fresh'],
    ['too old, though the socket is open', at(45_001), 'live', 'last-known'],
    ['fresh, while reconnecting', at(3000), 'reconnecting', 'fresh'],
    ['recent, but the API is away', at(6000), 'away', 'last-known'],
  ] as const)('%s', (_, stamp, phase, want) => expect(trustOf(stamp, phase, NOW, NOW)).toBe(want))
})

describe('backoff', () => {
  it('doubles up to 30 s', () => {
    expect([0, 1, 2, 5, 6, 50].map((n) => backoff(n, 1))).toEqual([500, 1000, 2000, 16_000, 30_000, 30_000])
  })
  it('has full jitter', () => {
    expect(backoff(3, 0)).toBe(0)
    expect(backoff(3, 0.5)).toBe(2000)
  })
})

describe('timetable', () => {
  it.each([
    ['asks at the start', link({ heardAt: null, socketOpen: false }), table(), { poll: true, dial: false }],
    ['does not ask twice at once', link({ heardAt: null, socketOpen: false }), table({ polling: true }), { poll: false, dial: false }],
    ['opens the socket once the API answered', link({ socketOpen: false }), table({ polledAt: NOW }), { poll: false, dial: true }],
    ['leaves an open socket alone', link(), table({ polledAt: NOW - 60_000 }), { poll: false, dial: false }],
    ['asks when an open socket has been silent', link({ heardAt: NOW - 15_000 }), table(), { poll: true, dial: false }],
    ['asks every five seconds without a socket', link({ socketOpen: false }), table({ polledAt: NOW - 5000, dialling: true }), { poll: true, dial: false }],
    ['waits before it dials again', link({ socketOpen: false }), table({ polledAt: NOW, retryAt: NOW + 1 }), { poll: false, dial: false }],
    ['asks a dead API, and does not dial it', link({ suspectSince: NOW - 9000, socketOpen: false }), table({ retryAt: NOW }), { poll: true, dial: false }],
    ['waits before it asks a dead API again', link({ suspectSince: NOW - 9000 }), table({ retryAt: NOW + 1 }), { poll: false, dial: false }],
  ])('%s', (_, l, t, want) => expect(planAt(l, t, NOW)).toEqual(want))
})

it.each([[null, 45_000], [undefined, 45_000], [5, 45_000], [30, 45_000], [120, 180_000]])('a service looked at every %s s is unknown after %d ms', (every, want) => {
  expect(staleAfter(every)).toBe(want)
  const stamp = { heardAt: 0, measuredAtServer: 0 }
  expect([trustOf(stamp, 'live', want, want, staleAfter(every)), trustOf(stamp, 'live', want + 1, want + 1, staleAfter(every))]).toEqual(['fresh', 'last-known'])
})
