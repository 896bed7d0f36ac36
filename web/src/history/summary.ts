// The recent checks in words and figures. Pure.

import type { Sample } from '@/live/live'
import { LEVELS, look, type Level } from '@/status/status'

/** "14 checks, 2 down, 12 healthy." Worst first. */
export function summaryOf(samples: readonly Sample[]): string {
  if (samples.length === 0) return 'No check has been seen since this page was opened.'
  const parts = LEVELS.map(({ level, word }) => ({ word, n: samples.filter((s) => s.level === level).length }))
    .filter((p) => p.n > 0)
    .map((p) => `${p.n} ${p.word.toLowerCase()}`)
  return `${samples.length} ${samples.length === 1 ? 'check' : 'checks'}, ${parts.join(', ')}.`
}

export interface LatencyFigures {
  median: number
  max: number
  measured: number
}

export function latencyFigures(samples: readonly Sample[]): LatencyFigures | null {
  const values = samples.flatMap((s) => (s.latencyMs === null ? [] : [s.latencyMs])).sort((a, b) => a - b)
  if (values.length === 0) return null
  const middle = Math.floor(values.length / 2)
  const median = values.length % 2 === 1 ? values[middle] : ((values[middle - 1] ?? 0) + (values[middle] ?? 0)) / 2
  return { median: median ?? 0, max: values.at(-1) ?? 0, measured: values.length }
}

/** The height of a check's bar, in parts of the strip: states differ in height, not in colour alone. */
export const BAR: Record<Level, number> = { down: 1, degraded: 0.7, recovering: 0.85, unknown: 0.3, stopped: 0.55, healthy: 0.45 }

export function wordOf(level: Level): string {
  return look(level).word
}
