import { describe, expect, it } from 'vitest'

import type { Incident } from '@/api/schema'

import * as data from '../../e2e/panel/data'
import { ladderOf, rungLook } from './ladder'
import { autoSentence, breakerSentence, incidentWord, recoveriesText } from './words'

const states = (i: Incident | null) => ladderOf(i).map((r) => `${r.key} ${r.state}`)

describe('the ladder', () => {
  it('shows every rung before anything happened', () => {
    expect(states(null)).toEqual(['soft untouched', 'standard untouched', 'hard untouched', 'critical untouched'])
  })
  it('follows an incident', () => {
    expect(states(data.incident())).toEqual(['soft skipped', 'standard failed', 'hard running', 'critical untouched'])
  })
  it('counts tries and keeps how long the last took', () => {
    const i = data.incident()
    const again = { ...i, steps: [...i.steps, { at: data.ago(5), kind: 'intent', level: 'standard', text: 'again' }] }
    expect(ladderOf(again)[1]).toMatchObject({ state: 'running', tries: 2, tookSeconds: null })
    expect(ladderOf(i)[1]).toMatchObject({ tries: 1, tookSeconds: 1.8, text: 'Start failed: exit code 1.' })
  })
  it('ends with a call for a person', () => {
    const critical = ladderOf(data.latched().incident).at(-1)
    expect(critical && rungLook(critical)).toEqual({ level: 'down', word: 'A person is needed' })
  })
  it('lists force only where it was considered', () => {
    const i = data.incident()
    const forced = { ...i, steps: [...i.steps, { at: data.ago(1), kind: 'outcome', level: 'force', result: 'unknown', text: 'lost' }] }
    expect(states(forced)).toContain('force open')
  })
})

describe('words', () => {
  const now = Date.now()
  it.each([
    ['on', data.quiet(), /^Automatic recovery is on\.$/],
    ['at work', data.recovering(), /^Automatic recovery is at work\.$/],
    ['off by its own decision', data.latched(), /^Automatic recovery is off since \d\d:\d\d:\d\d: 3 recoveries in 5 minutes.*A person must turn it on\.$/],
    ['switched off', { ...data.quiet(), enabled: false }, /^Automatic recovery is switched off\.$/],
    ['held by a stop', { ...data.quiet(), desired: { running: false, by: 'ann', since: data.ago(60), reason: '' } }, /^Automatic recovery holds: ann stopped this service since /],
    ['held', { ...data.quiet(), holds: [{ code: 'storm' as const, text: 't', by: '', since: null, until: null }] }, /but held at the moment/],
  ])('%s', (_, r, want) => expect(autoSentence(r, now)).toMatch(want))

  it('recoveries', () => {
    expect([0, 1, 3].map(recoveriesText)).toEqual(['No recovery in the last hour.', '1 recovery in the last hour.', '3 recoveries in the last hour.'])
  })

  it('the breaker', () => {
    expect(breakerSentence({ phase: 'closed', failures: 0, opened_at: null }, now)).toBe('Closed: no failed operation is counted.')
    expect(breakerSentence({ phase: 'closed', failures: 1, opened_at: null }, now)).toBe('Closed, with 1 failed operation counted.')
    expect(breakerSentence({ phase: 'half-open', failures: 5, opened_at: null }, now)).toMatch(/^Half-open/)
    expect(breakerSentence({ phase: 'open', failures: 5, opened_at: data.ago(1) }, now)).toMatch(/^Open since .* after 5 failed operations/)
  })

  it('a state of an incident that is new to the panel is shown as it came', () => {
    expect(incidentWord('postponed' as 'manual')).toEqual({ word: 'postponed', level: 'unknown' })
  })
})
