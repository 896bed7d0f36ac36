// The ladder of one incident as a list of rungs, read from its steps. Pure.

import type { Incident, Step } from '@/api/schema'
import type { Level } from '@/status/status'
import { parseTime } from '@/time'

export type RungState = 'untouched' | 'skipped' | 'running' | 'succeeded' | 'failed' | 'open'

export interface Rung {
  key: string
  title: string
  what: string
  state: RungState
  /** The last thing that was said of it. */
  text: string
  /** When the present or last try began. */
  startedAt: number | null
  tookSeconds: number | null
  tries: number
}

/** The rungs from the gentlest on, under the names that steps have for them. */
export const RUNGS_OF_LADDER = [
  { key: 'soft', title: 'Soft', what: 'unblock or reload, without a restart' },
  { key: 'standard', title: 'Standard', what: 'start the service' },
  { key: 'hard', title: 'Hard', what: 'restart the service' },
  { key: 'force', title: 'Force', what: 'kill the process, then start it' },
  { key: 'critical', title: 'Critical', what: 'stop trying and call a person' },
] as const

/** Force is off by default: it is listed only where it was considered. */
export function ladderOf(incident: Incident | null): Rung[] {
  const steps = incident?.steps ?? []
  return RUNGS_OF_LADDER.filter((r) => r.key !== 'force' || steps.some((s) => s.level === 'force')).map((r) => {
    const rung = steps.filter((s) => s.level === r.key).reduce(withStep, {
      ...r, state: 'untouched', text: '', startedAt: null, tookSeconds: null, tries: 0,
    } as Rung)
    return r.key === 'critical' && incident?.status === 'manual' ? { ...rung, state: 'running', text: rung.text || incident.cause_text } : rung
  })
}

function withStep(rung: Rung, step: Step): Rung {
  switch (step.kind) {
    case 'skipped':
    case 'held':
      return { ...rung, state: 'skipped', text: step.text }
    case 'intent':
      return { ...rung, state: 'running', text: step.text, startedAt: parseTime(step.at), tookSeconds: null, tries: rung.tries + 1 }
    case 'outcome':
    case 'verified':
      return { ...rung, state: ended(step), text: step.text, tookSeconds: step.duration_seconds ?? rung.tookSeconds }
  }
  return { ...rung, text: step.text }
}

function ended(step: Step): RungState {
  if (step.result === 'success') return 'succeeded'
  return step.result === 'failure' ? 'failed' : 'open'
}

/** How the state of a rung looks: one of the shapes of the status table, with its own word. */
export const RUNG_LOOK: Record<RungState, { level: Level; word: string }> = {
  untouched: { level: 'unknown', word: 'Not tried' },
  skipped: { level: 'stopped', word: 'Skipped' },
  running: { level: 'recovering', word: 'In progress' },
  succeeded: { level: 'healthy', word: 'Succeeded' },
  failed: { level: 'down', word: 'Failed' },
  open: { level: 'degraded', word: 'Outcome unknown' },
}

/** The critical rung is no act that progresses: it waits for somebody. */
export function rungLook(rung: Rung): { level: Level; word: string } {
  if (rung.key === 'critical' && rung.state === 'running') return { level: 'down', word: 'A person is needed' }
  return RUNG_LOOK[rung.state]
}
