import { describe, expect, it } from 'vitest'

import * as data from '../../e2e/panel/data'
import { causeOf, recoveryLine, sinceOf } from './sentences'

const now = Date.now()

describe('the cause', () => {
  it('is in the words of the reasons that are not hidden', () => {
    expect(causeOf(data.critical())).toBe('systemd: redis-server.service failed (exit code 1). PING refused 3 times.')
  })
  it('is read from the checks where there are no reasons', () => {
    expect(causeOf({ ...data.critical(), reasons: undefined })).toBe('Ping: connection refused. systemd: Service failed.')
  })
  it('says what is well when all is', () => {
    expect(causeOf(data.healthy())).toBe('PING answers in 2.5 ms. All checks passed.')
  })
  it('invents nothing', () => {
    expect(causeOf(null)).toBe('')
    expect(causeOf({ ...data.healthy(), overall_status: 'unknown' })).toBe('')
  })
})

describe('the line about automatic recovery', () => {
  it.each([
    ['on', data.quiet(), /^Automatic recovery is on\.$/],
    ['acting, with its timer', data.recovering(), /^Automatic recovery, step 3 of 3: Restarting redis-server\.service \(\d+ s\)\.$/],
    ['given up', data.latched(), /^Automatic recovery is off: 3 recoveries in 5 minutes; .* A person must turn it on\.$/],
    ['switched off', { ...data.quiet(), enabled: false }, /switched off/],
    ['held', { ...data.quiet(), holds: [{ code: 'maintenance' as const, text: 'Maintenance by ann', by: 'ann', since: null, until: new Date(now + 60_000).toISOString() }] }, /^Automatic recovery is held: Maintenance by ann\. Until \d\d:\d\d:\d\d\.$/],
    ['watching', { ...data.quiet(), incident: { ...data.incident(), status: 'watching' as const } }, /watched until it has stayed up/],
    ['not known', null, /^$/],
  ])('%s', (_, recovery, want) => expect(recoveryLine(recovery, now)).toMatch(want))
})

describe('since when', () => {
  it('counts the uptime of a running service', () => {
    expect(sinceOf('healthy', data.running(), data.healthy(), data.quiet(), now)).toBe(now - 93_784_000)
  })
  it('takes the opening of the incident, else the last answer', () => {
    const recovering = data.recovering()
    expect(sinceOf('recovering', null, data.critical(), recovering, now)).toBe(Date.parse(recovering.incident?.opened_at ?? ''))
    const health = data.critical()
    expect(sinceOf('down', null, health, data.quiet(), now)).toBe(Date.parse(health.last_successful_command ?? ''))
  })
  it('does not know more than was said', () => {
    expect(sinceOf('unknown', null, null, null, now)).toBeNull()
    expect(sinceOf('stopped', null, null, data.quiet(), now)).toBeNull()
  })
})
