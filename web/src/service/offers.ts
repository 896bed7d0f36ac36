// Which acts are offered at this moment, and why not where they are not. Pure.

import type { Busy, Operation, ServiceState } from '@/api/schema'
import type { Phase, Trust } from '@/live/freshness'
import { acts, reasons } from '@/messages'

export interface OfferContext {
  signedIn: boolean
  may: (operation: Operation) => boolean
  requiredRoles: (operation: Operation) => string[]
  role: string
  phase: Phase
  trust: Trust
  hostReachable: boolean
  state: ServiceState
  busy: Busy | null
  busySince: string
  /** An act that this panel has in hand. */
  ownAct: boolean
}

export interface Offer {
  operation: Operation
  enabled: boolean
  /** Why it is not enabled; empty when it is. */
  reason: string
  /** The reason holds for all acts alike, so that it is said once. */
  general: boolean
}

export const OPERATIONS: readonly Operation[] = ['restart', 'start', 'stop']

/** The role is looked at first: what a person may never do is not explained by the state of the moment. */
export function offerFor(operation: Operation, c: OfferContext): Offer {
  const own = ownReason(operation, c)
  if (own) return { operation, enabled: false, reason: own, general: false }
  const general = generalReason(c)
  if (general) return { operation, enabled: false, reason: general, general: true }
  const state = stateReason(operation, c.state)
  return { operation, enabled: state === '', reason: state, general: false }
}

function ownReason(operation: Operation, c: OfferContext): string {
  if (!c.signedIn || c.may(operation)) return ''
  return reasons.role(acts[operation].verb, c.requiredRoles(operation), c.role)
}

function generalReason(c: OfferContext): string {
  if (c.phase === 'away') return reasons.away
  if (!c.signedIn) return reasons.signIn
  if (c.trust === 'none') return reasons.connecting
  if (c.trust === 'last-known') return reasons.stale
  if (!c.hostReachable) return reasons.hostUnreachable
  if (c.ownAct) return reasons.ownAct
  if (c.busy) return reasons.busy(c.busy.by, c.busy.operation, c.busySince)
  return ''
}

/** Where the state itself is not known, the server is asked to decide. */
function stateReason(operation: Operation, state: ServiceState): string {
  if (operation === 'start') return state === 'running' ? reasons.running : ''
  return state === 'stopped' || state === 'failed' ? reasons.notRunning : ''
}
