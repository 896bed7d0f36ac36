import { expect, it } from 'vitest'

import { closedIncident, incident, record } from '../../e2e/panel/data'
import { graphsAt, linksOf } from './links'

it('a service has the links that it is given', () => {
  expect(linksOf(record(), null)).toEqual([])
  const full = { ...record(), runbook_url: 'https://wiki.example/redis', dashboard_url: 'https://graphs.example/d/1?var-service=redis' }
  expect(linksOf(full, null)).toEqual([
    { label: 'Runbook', href: 'https://wiki.example/redis' }, { label: 'Graphs', href: 'https://graphs.example/d/1?var-service=redis' },
  ])
})

it.each([['javascript:alert(1)'], ['wiki'], ['data:text/html,x'], [''], [null]])('%s is no link', (address) => {
  expect(linksOf({ ...record(), runbook_url: address, dashboard_url: address }, null)).toEqual([])
})

it('graphs open at the time of an incident', () => {
  const of = (i: typeof closedIncident) => new URL(graphsAt('https://graphs.example/d/1?var-service=redis', i())).searchParams
  const closed = of(closedIncident)
  expect(Number(closed.get('to')) - Number(closed.get('from'))).toBe(30 * 60_000 + 14_000)
  expect(closed.get('var-service')).toBe('redis')
  expect(of(incident).get('to')).toBe('now')
})
