import { computed, reactive, type ComputedRef } from 'vue'

import { ApiError, newIdempotencyKey } from '@/api/client'
import { RedisServiceAPI } from '@/api/RedisServiceAPI'
import type { Operation } from '@/api/schema'
import { useSession } from '@/api/session'
import { useLive } from '@/live/live'
import { moment, parseTime } from '@/time'

import { offerFor, OPERATIONS, type Offer } from './offers'
import { outcomeOfError, outcomeOfResult, type Outcome } from './outcome'

interface Acting {
  /** The act in hand of this panel. */
  inHand: { operation: Operation; startedAt: number } | null
  /** What came of the last one, until it is dismissed. */
  outcome: Outcome | null
}

/** What the server wants to be confirmed once more, and the proof that it asked. */
export interface ConfirmationWanted {
  token: string
  affected: string[]
}

// One entry per service, outside of any component: going to another screen must not lose an act or its outcome.
const acting = reactive(new Map<string, Acting>())

function actingOn(service: string): Acting {
  const found = acting.get(service)
  if (found) return found
  acting.set(service, { inHand: null, outcome: null })
  return acting.get(service) as Acting
}

export interface ServiceManagement {
  offers: ComputedRef<Offer[]>
  inHand: ComputedRef<Acting['inHand']>
  outcome: ComputedRef<Outcome | null>
  /** Runs one act once. Never throws: what came of it is in `outcome`, unless the server wants a confirmation. */
  act: (operation: Operation, confirmationToken?: string) => Promise<ConfirmationWanted | null>
  dismiss: () => void
}

/** The acts on one service: which are offered, the one in hand, and what came of the last. */
export function useServiceManagement(service: string): ServiceManagement {
  const live = useLive()
  const session = useSession()
  const state = actingOn(service)

  const offers = computed(() => {
    const busy = live.recovery?.busy ?? null
    const context = {
      signedIn: session.state === 'signed-in',
      may: (o: Operation) => session.may(o),
      requiredRoles: (o: Operation) => session.rolesFor(o),
      role: session.user?.role ?? '',
      phase: live.phase,
      trust: live.trust,
      hostReachable: live.status?.vm_info.ssh_accessible ?? true,
      state: live.status?.status ?? 'unknown',
      busy,
      busySince: moment(parseTime(busy?.since) ?? live.now, live.now),
      ownAct: state.inHand !== null,
    }
    return OPERATIONS.map((o) => offerFor(o, context))
  })

  async function act(operation: Operation, confirmationToken?: string): Promise<ConfirmationWanted | null> {
    if (state.inHand) return null
    state.outcome = null
    state.inHand = { operation, startedAt: Date.now() }
    try {
      const result = await RedisServiceAPI.operate(service, operation, newIdempotencyKey(), confirmationToken)
      state.outcome = outcomeOfResult(operation, result, Date.now())
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      const wanted = confirmationOf(error)
      if (wanted) return wanted
      // Without a session the dialog over the page says what happened: nothing was done.
      if (error.status !== 401) {
        state.outcome = outcomeOfError(operation, error, session.user?.role ?? '', navigator.onLine, Date.now())
      }
    } finally {
      state.inHand = null
      void live.refresh()
    }
    return null
  }

  return {
    offers,
    inHand: computed(() => state.inHand),
    outcome: computed(() => state.outcome),
    act,
    dismiss: () => {
      state.outcome = null
    },
  }
}

function confirmationOf(error: ApiError): ConfirmationWanted | null {
  const p = error.problem
  if (error.status !== 400 || !p?.confirmation_required || !p.confirmation_token) return null
  return { token: p.confirmation_token, affected: p.affected_services ?? [] }
}
