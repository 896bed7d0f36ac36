import { describe, expect, it } from 'vitest'

import { ApiError } from '@/api/client'
import type { Problem } from '@/api/schema'

import { done } from '../../e2e/panel/data'
import { outcomeOfError, outcomeOfResult } from './outcome'

const http = (status: number, problem: Problem = {}, retry: number | null = null) =>
  new ApiError('http', problem.detail ?? 'said so', status, problem, retry)
const of = (error: ApiError, online = true) => outcomeOfError('restart', error, 'operator', online, 0)

it('a success says what it cost', () => {
  const outcome = outcomeOfResult('restart', done('restart'), 0)
  expect(outcome.kind).toBe('success')
  expect(outcome.lines).toEqual(['Took 1.6 s.', '42 clients were disconnected.'])
})

it('a result that does not know its end is not a failure', () => {
  expect(outcomeOfResult('stop', { ...done('stop'), success: false, error: 'connection lost', outcome_unknown: true }, 0).kind).toBe('unknown')
})

describe('an error', () => {
  it('of the operation itself is a verdict', () => {
    const body = { success: false as const, message: 'Failed to restart Redis service', error: 'exit code 1', duration_seconds: 5 }
    expect(of(http(500, body))).toMatchObject({ kind: 'failure', title: body.message, lines: ['exit code 1', 'Took 5 s.'] })
  })
  it.each([
    ['a lost connection', new ApiError('network', 'gone')],
    ['no answer in time', new ApiError('timeout', 'late')],
    ['an error page', new ApiError('shape', 'html', 502)],
    ['an internal error', http(500)],
    ['a deadline of the server', http(504, { outcome_unknown: true })],
  ])('by %s leaves the outcome open', (_, error) => {
    expect(of(error).kind).toBe('unknown')
    expect(of(error).title).toContain('Check the state below before you repeat it')
  })
  it('while the device is offline was never sent', () => {
    expect(of(new ApiError('network', 'gone'), false)).toMatchObject({ kind: 'refused', title: 'Not sent: this device is offline. Nothing was queued.' })
  })
  it('409 says who does what', () => {
    expect(of(http(409, { busy: { by: 'redis-medic', operation: 'start', since: '' } })).title).toBe('Not done: redis-medic is running start on this service.')
    expect(of(http(409, { detail: 'busy' })).title).toBe('busy')
  })
  it('403 says who may', () => {
    expect(of(http(403, { required_roles: ['admin'], user_role: 'operator' })).title).toBe('Not allowed: this needs admin; you are operator.')
    expect(of(http(403)).title).toBe('Not allowed for your role, operator.')
  })
  it('503 of the API was refused before anything was done', () => {
    expect(of(http(503, { detail: 'Service operations blocked by circuit breaker' }, 200))).toMatchObject({
      kind: 'refused', title: 'Service operations blocked by circuit breaker', lines: ['Try again in 3 m 20 s.'],
    })
  })
  it('429 says when', () => {
    expect(of(http(429, { detail: 'More than 5 stop requests per minute' }, 30)).lines).toEqual(['Try again in 30 s.'])
  })
})
