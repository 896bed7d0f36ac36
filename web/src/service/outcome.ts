// What came of an act, in words that stay on the page until they are dismissed. Pure.

import { ApiError } from '@/api/client'
import type { Operation, OperationResult, Problem } from '@/api/schema'
import { acts, result as words } from '@/messages'
import { seconds } from '@/time'

export type OutcomeKind = 'success' | 'failure' | 'unknown' | 'refused'

export interface Outcome {
  kind: OutcomeKind
  operation: Operation
  title: string
  lines: string[]
  at: number
  requestId: string
}

export function outcomeOfResult(operation: Operation, r: OperationResult, at: number): Outcome {
  const kind = r.success ? 'success' : r.outcome_unknown ? 'unknown' : 'failure'
  const took = words.took(seconds(r.duration_seconds))
  const lines = r.success ? [r.warning ?? '', took, terminated(r.connections_terminated)] : [r.error, took]
  return { kind, operation, title: r.message, lines: lines.filter(Boolean), at, requestId: '' }
}

function terminated(connections: number | null | undefined): string {
  return connections == null ? '' : words.terminated(connections)
}

/** A 500 that carries the document's failure body is a verdict; any other 5xx leaves the outcome open. */
export function outcomeOfError(operation: Operation, error: ApiError, role: string, online: boolean, at: number): Outcome {
  const base = { operation, at, requestId: error.problem?.request_id ?? '' }
  const refused = (title: string, ...lines: string[]): Outcome => ({ ...base, kind: 'refused', title, lines: lines.filter(Boolean) })
  const open = (why: string): Outcome => ({ ...base, kind: 'unknown', title: words.unknown(acts[operation].verb, why), lines: [] })

  if (error.kind === 'network' && !online) return refused(words.notSentOffline)
  if (error.kind !== 'http') return open(error.message)
  if (error.problem?.outcome_unknown && error.problem.success === undefined) return open(error.message)
  if (error.problem?.success === false) return { ...outcomeOfResult(operation, asResult(operation, error.problem), at), requestId: base.requestId }
  switch (error.status) {
    case 403:
      return refused(words.denied(error.problem?.required_roles ?? [], error.problem?.user_role ?? role))
    case 409:
      return refused(busyWords(error))
    case 429:
    case 503:
      return refused(error.message, error.retryAfterSeconds === null ? '' : words.retryAfter(seconds(error.retryAfterSeconds)))
  }
  return error.status >= 500 ? open(error.message) : refused(error.message)
}

function busyWords(error: ApiError): string {
  const busy = error.problem?.busy
  return busy ? words.busy(busy.by, busy.operation) : error.message
}

function asResult(operation: Operation, p: Problem): OperationResult {
  return {
    success: false,
    operation,
    message: p.message ?? p.detail ?? `${acts[operation].verb} failed`,
    error: p.error ?? '',
    duration_seconds: p.duration_seconds ?? 0,
    timestamp: p.timestamp ?? '',
    new_status: p.new_status ?? 'unknown',
    outcome_unknown: p.outcome_unknown,
  }
}
