import { describe, expect, it } from 'vitest'

import type { LogLine, LogMessage } from '@/api/schema'

import { cursorOf, EMPTY, isLogMessage, KEPT_LINES, resuming, taken, type Tail } from './tail'

const START = Date.parse('2026-01-01T03:00:00Z')
const line = (second: number, message = `m${second}`): LogLine => ({
  timestamp: new Date(START + second * 1000).toISOString(), level: 'info', message, source: 'redis',
})
const message = (lines: LogLine[], over: Partial<LogMessage> = {}): LogMessage => ({ type: 'log', service: 'redis', lines, error: null, ...over })
const after = (tail: Tail, ...messages: LogMessage[]) => messages.reduce(taken, tail)
const said = (tail: Tail) => tail.rows.map((r) => r.line?.message ?? '|').join(' ')
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => line(from + i))

describe('a followed log', () => {
  it('begins with what was there, and goes on', () => {
    const tail = after(EMPTY, message([line(1), line(2)], { snapshot: true }), message([line(3)]))
    expect(said(tail)).toBe('m1 m2 m3')
    expect(tail.rows.map((r) => r.n)).toEqual([1, 2, 3])
  })
  it('may repeat itself', () => {
    expect(said(after(EMPTY, message([line(1, 'x'), line(1, 'x')], { snapshot: true }), message([line(1, 'x')])))).toBe('x x x')
  })
  it('keeps the newest lines, and counts those that left', () => {
    const tail = after(EMPTY, message(range(0, KEPT_LINES)), message(range(KEPT_LINES, KEPT_LINES + 5)))
    expect(tail.rows).toHaveLength(KEPT_LINES)
    expect(tail.rows[0]).toMatchObject({ n: 6, line: { message: 'm5' } })
    expect(tail.count - tail.rows.length).toBe(5)
  })
  it('marks where the server may have missed lines', () => {
    expect(said(after(EMPTY, message([line(1)], { snapshot: true }), message([line(9)], { gap: true })))).toBe('m1 | m9')
  })
  it('says while the host cannot be read, and keeps its lines', () => {
    const away = after(EMPTY, message([line(1)]), message([], { error: 'the host cannot be reached' }))
    expect([away.fault, said(away)]).toEqual(['the host cannot be reached', 'm1'])
    expect(after(away, message([])).fault).toBe('')
  })
})

describe('after a lost connection', () => {
  const before = after(EMPTY, message([line(1), line(2, 'x'), line(2, 'x'), line(20)], { snapshot: true }))

  it('is asked for from a little before its end', () => {
    expect(cursorOf(before)).toBe('2026-01-01T03:00:10.000Z')
    expect(cursorOf(EMPTY)).toBeUndefined()
    expect(cursorOf(after(EMPTY, message([{ ...line(1), timestamp: null }])))).toBeUndefined()
  })
  it('shows what is repeated once', () => {
    const close = after(EMPTY, message([line(1), line(2, 'x'), line(2, 'x'), line(3)], { snapshot: true }))
    const again = after(resuming(close),
      message([line(1), line(2, 'x')], { snapshot: true }), message([line(2, 'x'), line(2, 'x'), line(3), line(4)], { snapshot: true }))
    expect(said(again)).toBe('m1 x x m3 x m4')
  })
  it('takes lines of the present as new, though they read as before', () => {
    expect(said(after(resuming(before), message([line(20)], { snapshot: true }), message([line(20)])))).toBe('m1 x x m20 m20')
  })
  it('marks a hole: nothing of what is repeated is known', () => {
    expect(said(after(resuming(before), message([line(50)], { snapshot: true }), message([line(51)], { snapshot: true })))).toBe('m1 x x m20 | m50 m51')
  })
  it('has no hole where nothing was written', () => {
    expect(said(after(resuming(before), message([], { snapshot: true })))).toBe('m1 x x m20')
    expect(said(after(resuming(before), message([line(20)], { snapshot: true })))).toBe('m1 x x m20')
  })
})

it.each([[null], ['log'], [{ type: 'health' }], [{ type: 'log' }]])('%j is no message of a log', (x) => expect(isLogMessage(x)).toBe(false))
