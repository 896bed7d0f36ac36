import { describe, expect, it } from 'vitest'

import * as data from '../../e2e/panel/data'
import { checkShown, LEVELS, rank, recordLevel, shownState } from './status'

const person = { by: 'ann@example.org', operation: 'restart', since: data.ago(3) }
const stopped = { ...data.failed(), status: 'stopped' as const }

describe('the state that is shown', () => {
  it.each([
    ['healthy', { status: data.running(), health: data.healthy(), recovery: data.quiet() }, 'healthy', 'Healthy'],
    ['degraded', { status: data.running(), health: data.degraded(), recovery: data.quiet() }, 'degraded', 'Degraded'],
    ['down', { status: data.failed(), health: data.critical(), recovery: data.quiet() }, 'down', 'Down'],
    ['critical, but answering', { status: data.running(), health: { ...data.critical(), connectivity: true }, recovery: data.quiet() }, 'down', 'Critical'],
    ['being recovered', { status: data.failed(), health: data.critical(), recovery: data.recovering() }, 'recovering', 'Recovering, step 3 of 3'],
    ['given up', { status: data.failed(), health: data.critical(), recovery: data.latched() }, 'down', 'Down'],
    ['a person is restarting it', { status: data.failed(), health: data.critical(), recovery: { ...data.quiet(), busy: person } }, 'recovering', 'Restarting'],
    ['stopped by a person', { status: stopped, health: data.critical(), recovery: { ...data.quiet(), desired: { running: false, by: 'ann', since: null, reason: '' } } }, 'stopped', 'Stopped'],
    ['stopped on the host', { status: stopped, health: data.critical(), recovery: data.quiet() }, 'down', 'Down'],
    ['healthy while it is still watched', { status: data.running(), health: data.healthy(), recovery: { ...data.quiet(), incident: { ...data.incident(), status: 'watching' as const } } }, 'healthy', 'Healthy'],
    ['nothing known', { status: null, health: null, recovery: null }, 'unknown', 'Unknown'],
  ])('%s', (_, evidence, level, word) => expect(shownState(evidence)).toEqual({ level, word }))
})

it('every state has a word, a shape and a sign of its own', () => {
  for (const of of [(l: (typeof LEVELS)[number]) => l.word, (l: (typeof LEVELS)[number]) => l.shape, (l: (typeof LEVELS)[number]) => l.glyph]) {
    expect(new Set(LEVELS.map(of)).size).toBe(LEVELS.length)
  }
})

it('the worst come first', () => {
  expect(rank('down')).toBeLessThan(rank('degraded'))
  expect(rank('degraded')).toBeLessThan(rank('healthy'))
})

it('a record of the list says what it can', () => {
  expect(recordLevel('healthy', 'running')).toBe('healthy')
  expect(recordLevel('critical', 'running')).toBe('down')
  expect(recordLevel(undefined, 'failed')).toBe('down')
  expect(recordLevel(undefined, undefined)).toBe('unknown')
})

it('a check that was not made never looks passed', () => {
  expect(checkShown('unknown')).toEqual({ level: 'unknown', word: 'Not measured' })
  expect(checkShown('something new' as 'pass').level).toBe('unknown')
})
