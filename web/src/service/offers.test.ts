import { describe, expect, it } from 'vitest'

import type { Operation } from '@/api/schema'

import { offerFor, type OfferContext } from './offers'

const context = (over: Partial<OfferContext> = {}): OfferContext => ({
  signedIn: true, may: () => true, requiredRoles: () => ['admin'], role: 'operator', phase: 'live', trust: 'fresh',
  hostReachable: true, state: 'running', busy: null, busySince: '03:02:11', ownAct: false, ...over,
})

const reason = (o: Operation, over: Partial<OfferContext>) => offerFor(o, context(over)).reason

describe('acts that are offered', () => {
  it.each([
    ['running', 'start', false], ['running', 'restart', true], ['running', 'stop', true],
    ['stopped', 'start', true], ['stopped', 'restart', false], ['stopped', 'stop', false],
    ['failed', 'start', true], ['failed', 'restart', false], ['failed', 'stop', false],
    ['unknown', 'start', true], ['unknown', 'restart', true], ['unknown', 'stop', true],
  ] as const)('of a service that is %s: %s %s', (state, operation, enabled) =>
    expect(offerFor(operation, context({ state })).enabled).toBe(enabled))
})

describe('why an act is not offered', () => {
  it.each([
    ['the role, whatever the state', { may: (o: Operation) => o !== 'stop', phase: 'away' as const }, 'Stop needs admin; you are operator'],
    ['no session', { signedIn: false }, 'sign in first'],
    ['the API is away', { phase: 'away' as const }, 'the control API is unreachable'],
    ['nothing is known yet', { trust: 'none' as const }, 'the state is not known yet'],
    ['what is known is old', { trust: 'last-known' as const }, 'the state is unknown'],
    ['the host is away', { hostReachable: false }, 'the host is not reachable over SSH'],
    ['somebody else acts', { busy: { by: 'ann', operation: 'restart', since: '' } }, 'ann is running restart since 03:02:11'],
    ['an act of ours is in hand', { ownAct: true }, 'wait for the act in hand'],
  ])('%s', (_, over, want) => expect(reason('stop', over)).toBe(want))

  it('a role whose name is not known is named by what it may not', () => {
    expect(reason('stop', { may: () => false, requiredRoles: () => [] })).toBe('your role, operator, may not stop')
  })

  it('stays offered through a blip', () => {
    expect(offerFor('restart', context({ phase: 'reconnecting' })).enabled).toBe(true)
  })
})
