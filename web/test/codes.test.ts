import { readFileSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { OPERATION_WORDS } from '@/audit/records'
import { signIn } from '@/messages'
import { ACT_WORDS, actWords, DECISION_WORDS, HOLD_WORDS, sourceWords } from '@/recovery/codes'
import { RUNGS_OF_LADDER } from '@/recovery/ladder'
import { INCIDENT_WORDS } from '@/recovery/words'
import { CHECKS } from '@/status/status'
import { KINDS } from '@/timeline/entries'

// The server's codes are read where it defines them: one that is new there, and has no words here, fails.
const file = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const api = file('controlapi/openapi.yaml')

/** The part of the description that belongs to a schema. */
function schema(name: string): string {
  return new RegExp(`^    ${name}:\\n(?:      .*\\n|\\n)+`, 'm').exec(api)?.[0] ?? ''
}

/** The values of an enum in a schema. */
function values(name: string, property: string): string[] {
  const found = new RegExp(`\\b${property}:\\s*(?:\\{)?\\s*enum: \\[([^\\]]*)\\]`).exec(schema(name))?.[1]
  if (!found) throw new Error(`${name}.${property} is no enum of the API any more`)
  return found.split(',').map((v) => v.trim())
}

/** The values of Go constants of a type: `Start Act = "start"`. */
function constants(path: string, type: string): string[] {
  return [...file(path).matchAll(new RegExp(`^\\s+\\w+\\s+${type}\\s+= "([^"]+)"`, 'gm'))].map((m) => m[1] ?? '')
}

describe('every code has words', () => {
  it.each([
    ['hold', values('Hold', 'code'), HOLD_WORDS],
    ['hold of the remediator', constants('remediator/types.go', 'HoldCode'), HOLD_WORDS],
    ['state of an incident', values('Incident', 'status'), INCIDENT_WORDS],
    ['decision', values('Explanation', 'decision'), DECISION_WORDS],
    ['result of a check', values('HealthCheck', 'status'), CHECKS],
    ['act of the ladder', constants('remediator/ladder/ladder.go', 'Act'), ACT_WORDS],
    ['operation', constants('remediator/types.go', 'Operation'), ACT_WORDS],
    ['fault of an identity provider', constants('controlapi/authn/oidc.go', 'OIDCFaultKind'), signIn.failures],
    ['kind of a step', (/Kind +string +`json:"kind"` \/\/ (.*)/.exec(file('remediator/types.go'))?.[1] ?? '').split(', '), KINDS],
    ['rung', constants('remediator/ladder/ladder.go', 'Rung'), Object.fromEntries(RUNGS_OF_LADDER.map((r) => [r.key, r.title]))],
    ['operation in the audit log', [...file('controlapi/routes.go').matchAll(/audit: "([^"]+)"/g)].map((m) => m[1] ?? ''), OPERATION_WORDS],
  ])('%s', (_, codes, words) => {
    expect(codes.length).toBeGreaterThan(2)
    expect(codes.filter((c) => !(c in words))).toEqual([])
  })

  it('who noticed an incident', () => {
    const said = values('Incident', 'source').map((s) => sourceWords(s as 'alert', ''))
    expect(said.every((s) => s.startsWith('noticed by'))).toBe(true)
    expect(sourceWords('alert', 'RedisDown')).toBe('noticed by an alert (RedisDown)')
    expect(sourceWords(undefined, '')).toBe('systemd restarted it by itself')
  })
})

it('acts are said in words, and one that is new by its name', () => {
  expect(actWords('restore-config, reset-failed, start')).toBe('put the last good configuration back, clear the failed state, start')
  expect(actWords('dance')).toBe('dance')
})
