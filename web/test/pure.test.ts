// @vitest-environment happy-dom
import { afterEach, describe, expect, it } from 'vitest'

import type { LogLine } from '@/api/schema'
import { noteOf, resultLook } from '@/audit/records'
import { latencyFigures, summaryOf } from '@/history/summary'
import { recall, remember } from '@/live/memory'
import { asText, errorsIn, inOrder, levelMark, matching, newerThan } from '@/logs/lines'
import { listed } from '@/service/list'
import { sentence } from '@/text'
import { applyTheme, chooseTheme, storedTheme } from '@/theme'
import { duration, moment, parseTime, seconds, utc } from '@/time'
import { keyStep } from '@/ui/keys'

import { auditRecords, logLines, record } from '../e2e/panel/data'

describe('times', () => {
  it.each([[0, '0 s'], [59_999, '59 s'], [60_000, '1 m'], [94_000, '1 m 34 s'], [3_600_000, '1 h'], [7_500_000, '2 h 5 m'], [93_784_000, '1 d 2 h'], [-5, '0 s']])(
    '%d ms is %s', (ms, want) => expect(duration(ms)).toBe(want))
  it.each([[0.4, '0.4 s'], [8.3, '8.3 s'], [15.7, '16 s'], [200, '3 m 20 s']])('%d s took %s', (s, want) => expect(seconds(s)).toBe(want))
  it('shows the day only of another day', () => {
    const now = Date.parse('2026-03-01T12:00:00Z')
    expect(moment(now - 1000, now)).toBe('11:59:59')
    expect(moment(now - 86_400_000, now)).toMatch(/28/)
    expect(utc(now)).toBe('2026-03-01 12:00:00 UTC')
  })
  it.each([[null], [undefined], [''], ['soon'], ['0001-01-01T00:00:00Z']])('%s is no time', (wire) => expect(parseTime(wire)).toBeNull())
})

describe('sentences of the server', () => {
  it.each([
    ['the process is stopped', 'The process is stopped.'],
    ['systemd: failed', 'systemd: failed.'],
    ['redis-server.service failed', 'redis-server.service failed.'],
    ['PING refused.', 'PING refused.'],
    ["can't open it", "Can't open it."],
  ])('%s', (text, want) => expect(sentence(text)).toBe(want))
})

describe('log lines', () => {
  const rowsOf = (lines: LogLine[]) => lines.map((one, i) => ({ n: i + 1, line: one }))
  const line = (timestamp: string | null, message: string): LogLine => ({ timestamp, level: 'info', message, source: 'redis' })
  it('come oldest first, in whatever order the server has them', () => {
    const lines = logLines()
    expect(inOrder([...lines].reverse())).toEqual(lines)
    expect(inOrder(lines)).toEqual(lines)
    expect(inOrder([])).toEqual([])
  })
  it('keep the order of the same moment', () => {
    const t = '2026-01-01T00:00:00Z'
    const newestFirst = ['c', 'b'].map((message) => line(t, message)).concat([line('2025-01-01T00:00:00Z', 'a')])
    expect(inOrder(newestFirst).map((l) => l.message)).toEqual(['a', 'b', 'c'])
  })
  it('are filtered and counted', () => {
    const rows = [...rowsOf(logLines()), { n: 9, line: null }]
    expect(matching(rows, '  SAVED ').map((r) => r.line?.message)).toEqual(['DB saved on disk'])
    expect(matching(rows, '')).toHaveLength(rows.length)
    expect(newerThan(rows.slice(0, 5), rows)).toBe(3)
    expect(newerThan([], rows)).toBe(8)
    expect(errorsIn(rows)).toBe(1)
  })
  it('are copied with their range', () => {
    expect(asText(rowsOf(logLines()), 'redis')).toMatch(/^# redis, \d{4}.* UTC to \d{4}.* UTC\n/)
    expect(asText([...rowsOf([line(null, 'x')]), { n: 2, line: null }], 'redis')).toBe('# redis\n- info    x\n# Lines may be missing here.')
  })
  it('carry a mark only from warning on', () => {
    expect(['error', 'warning', 'info', 'debug'].map(levelMark)).toEqual(['down', 'degraded', null, null])
  })
})

describe('audit records', () => {
  it('show denials as such', () => {
    const [, denied, done, begun] = auditRecords()
    expect([denied, done, begun].map((r) => r && resultLook(r).word)).toEqual(['Denied', 'Succeeded', 'Begun'])
    expect(denied && noteOf(denied)).toBe('HTTP 403 · Insufficient permissions to stop Redis service')
  })
})

describe('recent checks', () => {
  const sample = (level: 'healthy' | 'down', latencyMs: number | null) => ({ at: 0, level, latencyMs })
  it('are summed up worst first', () => {
    expect(summaryOf([sample('healthy', 1), sample('down', null), sample('healthy', 1)])).toBe('3 checks, 1 down, 2 healthy.')
    expect(summaryOf([sample('healthy', 1)])).toBe('1 check, 1 healthy.')
    expect(summaryOf([])).toMatch(/^No check/)
  })
  it('have a median', () => {
    expect(latencyFigures([sample('healthy', 1), sample('healthy', 9), sample('healthy', 2), sample('down', null)])).toEqual({ median: 2, max: 9, measured: 3 })
    expect(latencyFigures([sample('healthy', 1), sample('healthy', 2)])?.median).toBe(1.5)
    expect(latencyFigures([])).toBeNull()
  })
})

describe('keys', () => {
  const press = (key: string, over = {}) => ({ key, ctrlKey: false, metaKey: false, altKey: false, ...over })
  it('g and a letter go', () => {
    expect(keyStep(press('g'), false, false).pending).toBe(true)
    expect(keyStep(press('t'), true, false)).toEqual({ does: 'go', page: 'timeline', pending: false })
    expect(keyStep(press('x'), true, false)).toEqual({ does: 'nothing', pending: false })
  })
  it('one letter never acts on a service', () => {
    const does = new Set([...'abcdefghijklmnopqrstuvwxyz'].map((k) => keyStep(press(k), false, false).does))
    expect([...does].sort()).toEqual(['nothing', 'refresh'])
  })
  it('belong to whoever is typing', () => {
    expect(keyStep(press('r'), false, true).does).toBe('nothing')
    expect(keyStep(press('r', { ctrlKey: true }), false, false).does).toBe('nothing')
    expect(keyStep(press('?'), false, false).does).toBe('list')
  })
})

describe('the list of services', () => {
  it('has the worst first and nothing old in green', () => {
    const now = Date.now()
    const records = [record(), { ...record(), id: 'old', name: '', last_check: new Date(now - 60_000).toISOString() }, { ...record(), id: 'bad', overall_status: 'critical' as const }]
    const rows = listed(records, '', now, now)
    expect(rows.map((r) => [r.record.id, r.fresh])).toEqual([['bad', true], ['old', false], ['redis', true]])
    expect(listed(records, 'BAD', now, now)).toHaveLength(1)
  })
})

describe('what the browser keeps', () => {
  afterEach(() => {
    applyTheme('system')
    localStorage.clear()
  })
  it('is the theme', () => {
    expect(storedTheme()).toBe('system')
    chooseTheme('dark')
    expect(storedTheme()).toBe('dark')
    expect(document.documentElement.dataset.theme).toBe('dark')
    chooseTheme('system')
    expect(document.documentElement.dataset.theme).toBeUndefined()
  })
  it('is the last known state, unless somebody wrote something else there', () => {
    const memory = { name: 'redis-01', host: '10.0.0.1', unit: 'redis-server.service', word: 'Healthy', at: 5 }
    remember('redis', memory)
    expect(recall('redis')).toEqual(memory)
    localStorage.setItem('redis-medic.last.redis', '{"name":1}')
    expect(recall('redis')).toBeNull()
    localStorage.setItem('redis-medic.last.redis', 'not json')
    expect(recall('redis')).toBeNull()
  })
})
