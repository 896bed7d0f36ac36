import { expect, it } from 'vitest'

import { evidence } from '../../e2e/panel/data'
import { partsOf, type Block } from './blocks'

const bundle = evidence().bundle ?? {}
const part = (key: string) => partsOf(bundle).find((p) => p.key === key)?.blocks ?? []
const facts = (blocks: Block[]) =>
  Object.fromEntries(blocks.flatMap((b) => (b.kind === 'facts' ? b.facts : [])).map((f) => [f.label, f.value]))

it('begins with what is missing, and ends with what is new to the panel', () => {
  const keys = partsOf(bundle).map((p) => p.key)
  expect(keys.slice(0, 3)).toEqual(['missing', 'late', 'ping'])
  expect(keys.at(-1)).toBe('quantum_state')
})

it('loses nothing: every word and figure of a bundle is in its parts', () => {
  const words = (x: unknown): string[] => {
    if (typeof x === 'string') return [x]
    return typeof x === 'object' && x !== null ? Object.values(x).flatMap(words) : []
  }
  const heading = ['incident', 'service', 'taken_at']
  const rest = Object.fromEntries(Object.entries(bundle).filter(([key]) => !heading.includes(key)))
  const shown = JSON.stringify(partsOf(rest).map((p) => p.blocks))
  const lost = words(rest).filter((w) => !shown.includes(JSON.stringify(w).slice(1, -1)) && !shown.includes(String(Date.parse(w))) && !w.startsWith('0001-'))
  expect(lost).toEqual([])
})

it('says lengths, sizes and moments in their units', () => {
  expect(facts(part('ping'))).toMatchObject({ Latency: '0.41 ms', Connected: 'no', Reply: 'refused' })
  expect(facts(part('unit'))).toMatchObject({ TimeoutStop: 'no limit', RestartDelay: '0.1 s', WatchdogPing: 'never', ActiveEnter: expect.any(Number) })
  expect(facts(part('load'))).toEqual({ 'Load 1m': '0.42', 'Memory total': '4 GiB', 'Uptime hours': '2 d 1 h' })
  expect(facts(part('last_info'))).toMatchObject({ UsedMemory: '128.5 MiB' })
  expect(part('disks')).toEqual([{ kind: 'table', title: '', columns: ['Path', 'Size', 'Free', 'Inodes', 'Inodes free'], rows: [['/', '10 GiB', '500 MiB', '655360', '600000']] }])
})

it('reads lists by their form', () => {
  expect(part('journal')[0]).toMatchObject({ kind: 'log', lines: [{ level: 'error' }] })
  expect(part('redis_log')[0]).toMatchObject({ kind: 'log', lines: [{ timestamp: null }] })
  expect(part('config')).toEqual([{ kind: 'text', title: '', text: 'bind 127.0.0.1 -::1\nrequirepass (redacted)' }])
  expect(part('redis').map((b) => `${b.kind} ${b.title}`)).toEqual(['text Info', 'table Slow log', 'facts Clients', 'facts Clients: Addresses'])
})

it('has no block for what is empty', () => {
  expect(partsOf({ boots: [], load: null, missing: {}, note: '' }).map((p) => p.blocks.length)).toEqual([0, 0, 0, 0])
})
