// The one table of states: order (worst first), word, shape and glyph. Colours are in tokens.css under the same names.
// Shape and word carry the meaning; colour only repeats it.

import type { CheckStatus, Health, Recovery, ServiceStatus } from '@/api/schema'

export type Level = 'down' | 'degraded' | 'recovering' | 'unknown' | 'stopped' | 'healthy'
export type Shape = 'octagon' | 'triangle' | 'arrow' | 'ring' | 'square' | 'disc'

export interface LevelLook {
  level: Level
  word: string
  shape: Shape
  /** For places that hold text only, as the tab title. */
  glyph: string
}

/** Worst first. */
export const LEVELS: readonly LevelLook[] = [
  { level: 'down', word: 'Down', shape: 'octagon', glyph: '⬣' },
  { level: 'degraded', word: 'Degraded', shape: 'triangle', glyph: '▲' },
  { level: 'recovering', word: 'Recovering', shape: 'arrow', glyph: '↻' },
  { level: 'unknown', word: 'Unknown', shape: 'ring', glyph: '◌' },
  { level: 'stopped', word: 'Stopped', shape: 'square', glyph: '■' },
  { level: 'healthy', word: 'Healthy', shape: 'disc', glyph: '✓' },
]

const byLevel = new Map(LEVELS.map((l) => [l.level, l]))

export function look(level: Level): LevelLook {
  const found = byLevel.get(level)
  if (!found) throw new Error(`no look for ${level}`)
  return found
}

/** 0 is the worst. */
export function rank(level: Level): number {
  return LEVELS.findIndex((l) => l.level === level)
}

/** A state as it is shown: `word` may be more exact than the level's own ("Critical", "Recovering, step 2 of 3"). */
export interface Shown {
  level: Level
  word: string
}

export interface Evidence {
  status: ServiceStatus | null
  health: Health | null
  recovery: Recovery | null
}

/** The rungs of the ladder that act by themselves; the fourth level of the document is a person. */
export const RUNGS = ['soft', 'standard', 'hard'] as const

const PERSON_ACTS: Record<string, string> = { start: 'Starting', stop: 'Stopping', restart: 'Restarting', reload: 'Reloading' }

/** What the evidence says when it is fresh. Whoever shows it must ask first whether it is (see freshness.ts). */
export function shownState(e: Evidence): Shown {
  const overall = e.health?.overall_status ?? 'unknown'
  if (overall === 'healthy') return plain('healthy')
  if (overall === 'degraded') return plain('degraded')
  return working(e) ?? stoppedOnPurpose(e) ?? resting(e, overall)
}

function plain(level: Level): Shown {
  return { level, word: look(level).word }
}

/** A service that is being worked on is not simply down. */
function working({ recovery }: Evidence): Shown | null {
  if (!recovery || recovery.manual_intervention) return null
  const act = recovery.busy && PERSON_ACTS[recovery.busy.operation]
  const incident = recovery.incident
  if (incident?.status === 'recovering') return { level: 'recovering', word: recoveringWord(incident.level) }
  if (act) return { level: 'recovering', word: act }
  if (incident?.status === 'watching') return { level: 'recovering', word: 'Recovering, checking' }
  return null
}

function recoveringWord(rung: string | undefined): string {
  const n = RUNGS.findIndex((r) => r === rung)
  return n < 0 ? 'Recovering' : `Recovering, step ${n + 1} of ${RUNGS.length}`
}

function stoppedOnPurpose({ status, recovery }: Evidence): Shown | null {
  return status?.status === 'stopped' && recovery?.desired.running === false ? plain('stopped') : null
}

function resting({ health }: Evidence, overall: string): Shown {
  if (overall !== 'critical') return plain('unknown')
  // Critical by load, but answering: calling that "down" would be untrue.
  return health?.connectivity ? { level: 'down', word: 'Critical' } : plain('down')
}

/** The list's records may carry less than a full health answer. */
export function recordLevel(overall: string | undefined, state: string | undefined): Level {
  if (overall === 'healthy' || overall === 'degraded') return overall
  if (overall === 'critical' || state === 'failed' || state === 'stopped') return 'down'
  return 'unknown'
}

export const CHECKS: Record<CheckStatus, Shown> = {
  fail: { level: 'down', word: 'Failed' },
  warning: { level: 'degraded', word: 'Warning' },
  unknown: { level: 'unknown', word: 'Not measured' },
  pass: { level: 'healthy', word: 'Passed' },
}

export function checkShown(status: CheckStatus): Shown {
  return CHECKS[status] ?? CHECKS.unknown
}
