// @vitest-environment happy-dom
import { fireEvent, screen, waitFor, within } from '@testing-library/vue'
import { describe, expect, it, vi } from 'vitest'

import { ApiError } from '@/api/client'
import { useLive } from '@/live/live'
import ServiceLogsViewer from '@/logs/ServiceLogsViewer.vue'
import LadderList from '@/recovery/LadderList.vue'
import ReasonForm from '@/recovery/ReasonForm.vue'
import HealthChecks from '@/service/HealthChecks.vue'
import RedisServiceControl from '@/service/RedisServiceControl.vue'
import StatusHeadline from '@/service/StatusHeadline.vue'
import ServiceStatusBadge from '@/status/ServiceStatusBadge.vue'
import ConfirmDialog from '@/ui/ConfirmDialog.vue'
import NotAvailable from '@/ui/NotAvailable.vue'
import SignInForm from '@/ui/SignInForm.vue'

import * as data from '../e2e/panel/data'
import { json } from './api'
import { show } from './render'
import { FakeSocket } from './socket'

const button = (name: RegExp | string) => screen.getByRole('button', { name })

/** Puts the live store into a state, as if it had just been fetched. */
function know({ link, ...over }: Partial<ReturnType<typeof useLive>> = {}): void {
  const at = Date.now()
  const live = useLive()
  Object.assign(live, {
    status: data.running(), health: data.healthy(), recovery: data.quiet(), stamp: { heardAt: at, measuredAtServer: at },
    now: at, ...over,
  })
  Object.assign(live.link, { socketOpen: true, socketTried: true, suspectSince: null, heardAt: at }, link)
}

describe('ServiceStatusBadge', () => {
  it('says the state', async () => {
    await show(ServiceStatusBadge, { props: { shown: { level: 'healthy', word: 'Healthy' } } })
    expect(screen.getByText('Healthy')).toBeTruthy()
  })
  it('never says a state that is not fresh as the present one', async () => {
    const { container } = await show(ServiceStatusBadge, { props: { shown: { level: 'healthy', word: 'Healthy' }, fresh: false } })
    expect(container.textContent).toBe('Last known: Healthy')
    expect(container.querySelector('.is-unknown')).toBeTruthy()
  })
})

describe('ConfirmDialog', () => {
  const props = { open: true, title: 'Stop redis-01?', message: 'Redis stays down.', action: 'Stop', typed: 'redis-01', danger: true }

  it('is an alert dialog with a name, and Cancel has the focus', async () => {
    await show(ConfirmDialog, { props })
    const dialog = screen.getByRole('alertdialog', { name: 'Stop redis-01?' })
    await waitFor(() => expect(document.activeElement).toBe(within(dialog).getByRole('button', { name: 'Cancel' })))
  })
  it('is confirmed only with the exact name', async () => {
    const { emitted } = await show(ConfirmDialog, { props })
    const name = screen.getByLabelText('Type redis-01 to confirm')
    expect(button('Stop').hasAttribute('disabled')).toBe(true)
    await fireEvent.update(name, 'redis')
    await fireEvent.submit(name)
    expect(emitted().confirm).toBeUndefined()
    await fireEvent.update(name, ' redis-01 ')
    await fireEvent.click(button('Stop'))
    await fireEvent.submit(name)
    expect(emitted().confirm).toBeTruthy()
  })
  it('is left by Escape', async () => {
    const { emitted } = await show(ConfirmDialog, { props })
    await fireEvent.keyDown(screen.getByRole('alertdialog'), { key: 'Escape' })
    expect(emitted().cancel).toBeTruthy()
  })
})

describe('RedisServiceControl', () => {
  const control = async (service: string, role: 'admin' | 'operator' | 'viewer' = 'admin') => {
    const shown = await show(RedisServiceControl, { props: { service, name: 'redis-01', affected: ['backend', 'cache'] }, role })
    know()
    await waitFor(() => expect(screen.queryByText(/not known yet/)).toBeNull())
    return shown
  }
  const acts = (fake: { sent: { method: string; path: string }[] }) => fake.sent.filter((s) => s.method === 'POST').map((s) => s.path)

  it('starts with one click when it is stopped', async () => {
    const { fake } = await control('a')
    fake.on('POST /api/services/a/start', 200, data.done('start'))
    know({ status: { ...data.failed(), status: 'stopped' }, health: data.critical() })
    await waitFor(() => expect(button('Start').getAttribute('aria-disabled')).toBe('false'))
    await fireEvent.click(button('Start'))
    await screen.findByText('Redis service started successfully')
    expect(acts(fake)).toEqual(['/api/services/a/start'])
  })

  it('asks before a restart and says what it costs', async () => {
    const { fake } = await control('b')
    await fireEvent.click(button('Restart…'))
    const dialog = await screen.findByRole('alertdialog', { name: 'Restart redis-01?' })
    expect(dialog.textContent).toContain('This drops 42 clients')
    expect(dialog.textContent).toContain('Affected: backend, cache.')
    await fireEvent.click(within(dialog).getByRole('button', { name: 'Cancel' }))
    expect(acts(fake)).toEqual([])
  })

  it('shows an act in hand, and its result until it is dismissed', async () => {
    const { fake } = await control('c')
    let end: (r: Response) => void = () => undefined
    fake.answer('POST /api/services/c/restart', () => new Promise((resolve) => { end = resolve }))
    await fireEvent.click(button('Restart…'))
    await fireEvent.click(within(await screen.findByRole('alertdialog')).getByRole('button', { name: 'Restart' }))
    await screen.findByRole('button', { name: /^Restarting… 0 s of ≤ 40 s$/ })
    expect(button('Stop…').getAttribute('aria-disabled')).toBe('true')
    end(json(200, data.done('restart')))
    await screen.findByText('Redis service restarted successfully')
    await fireEvent.click(button('Dismiss'))
    expect(screen.queryByText('Redis service restarted successfully')).toBeNull()
  })

  it('says who is already doing what', async () => {
    const { fake } = await control('d')
    fake.on('POST /api/services/d/restart', 409, { detail: 'busy', busy: { by: 'ann@example.org', operation: 'restart', since: data.ago(2) } })
    await fireEvent.click(button('Restart…'))
    await fireEvent.click(within(await screen.findByRole('alertdialog')).getByRole('button', { name: 'Restart' }))
    await screen.findByText('Not done: ann@example.org is running restart on this service.')
    expect(acts(fake)).toHaveLength(1)
  })

  it('asks once more when the server wants it, with the server\'s proof', async () => {
    const { fake } = await control('e')
    fake.on('POST /api/services/e/stop', 400, { detail: 'confirm', confirmation_required: true, confirmation_token: 't-1', affected_services: ['sessions'] })
    const stop = async () => {
      const dialog = await screen.findByRole('alertdialog', { name: 'Stop redis-01?' })
      await fireEvent.update(within(dialog).getByLabelText('Type redis-01 to confirm'), 'redis-01')
      await fireEvent.submit(within(dialog).getByLabelText('Type redis-01 to confirm'))
    }
    await fireEvent.click(button('Stop…'))
    await stop()
    await screen.findByText(/asks for another confirmation/)
    expect(screen.getByRole('alertdialog').textContent).toContain('Affected: sessions.')
    fake.on('POST /api/services/e/stop', 200, data.done('stop'))
    await stop()
    await screen.findByText('Redis service stopped successfully')
    expect(fake.sent.filter((s) => s.method === 'POST').map((s) => s.body)).toEqual([
      { confirmation: true }, { confirmation: true, confirmation_token: 't-1' },
    ])
  })

  it('does nothing for who may not, and says why', async () => {
    const { fake } = await control('f', 'operator')
    expect(screen.getByText('Stop needs admin; you are operator.')).toBeTruthy()
    await fireEvent.click(button('Stop…'))
    expect(screen.queryByRole('alertdialog')).toBeNull()
    expect(acts(fake)).toEqual([])
  })

  it('does nothing while the API is away', async () => {
    const { fake } = await control('g')
    know({ link: { socketOpen: false, socketTried: true, suspectSince: Date.now() - 6000, heardAt: Date.now() - 9000 } })
    await screen.findByText('Actions are off: the control API is unreachable.')
    await fireEvent.click(button('Restart…'))
    expect(screen.queryByRole('alertdialog')).toBeNull()
    expect(acts(fake)).toEqual([])
  })
})

describe('StatusHeadline', () => {
  it('answers what, why and who is on it', async () => {
    await show(StatusHeadline, { props: { record: data.record(), name: 'redis-01' } })
    know({ status: data.failed(), health: data.critical(), recovery: data.recovering() })
    await screen.findByRole('heading', { level: 1, name: 'redis-01: Recovering, step 3 of 3' })
    expect(screen.getByText(/^systemd: redis-server.service failed/)).toBeTruthy()
    expect(screen.getByText(/^Automatic recovery, step 3 of 3/)).toBeTruthy()
    expect(screen.getByText('Affected: backend, knowledge_base, cache')).toBeTruthy()
  })
  it('is never healthy without fresh news', async () => {
    const { container } = await show(StatusHeadline, { props: { record: data.record(), name: 'redis-01' } })
    know({ stamp: { heardAt: Date.now() - 60_000, measuredAtServer: Date.now() - 60_000 } })
    await screen.findByRole('heading', { level: 1, name: 'redis-01: Unknown' })
    expect(container.textContent?.replace('Last known: Healthy', '')).not.toContain('Healthy')
  })
})

it('checks come worst first, each with what it said', async () => {
  await show(HealthChecks)
  know({ health: data.critical() })
  await screen.findByText('PING failed 3 times: connection refused')
  expect(screen.getAllByRole('listitem').map((li) => li.textContent?.trim().replace(/(Ping|systemd|Performance).*/s, ' $1'))).toEqual([
    'Failed Ping', 'Failed systemd', 'Not measured Performance',
  ])
})

it('the ladder names the live step', async () => {
  await show(LadderList, { props: { incident: data.incident() } })
  const current = screen.getAllByRole('listitem').find((li) => li.getAttribute('aria-current') === 'step')
  expect(current?.textContent).toMatch(/Hard.*In progress.*Restarting redis-server\.service/)
})

describe('ReasonForm', () => {
  const form = (over = {}) => {
    const run = vi.fn(async () => null)
    return { run, shown: show(ReasonForm, { props: { label: 'Reason', action: 'Reset', run, ...over } }) }
  }
  it('wants a reason', async () => {
    const { run, shown } = form()
    await shown
    await fireEvent.submit(button('Reset'))
    expect(screen.getByRole('alert').textContent).toContain('Say why')
    await fireEvent.update(screen.getByLabelText('Reason'), 'disk replaced')
    await fireEvent.submit(button('Reset'))
    await waitFor(() => expect(run).toHaveBeenCalledWith('disk replaced'))
    await screen.findByText('Done.')
  })
  it('does nothing when it is blocked, and says why', async () => {
    const { run, shown } = form({ blocked: 'Reset needs admin; you are operator' })
    await shown
    await fireEvent.update(screen.getByLabelText('Reason'), 'x')
    await fireEvent.submit(button('Reset'))
    expect(run).not.toHaveBeenCalled()
    expect(screen.getByText('Not possible: Reset needs admin; you are operator.')).toBeTruthy()
  })
})

describe('SignInForm', () => {
  it('forgets a password that was refused', async () => {
    const { fake } = await show(SignInForm)
    fake.on('POST /api/auth/login', 401, { detail: 'User or password is wrong' })
    await fireEvent.update(screen.getByLabelText('E-mail'), 'ann@example.org')
    await fireEvent.update(screen.getByLabelText('Password'), 'secret')
    await fireEvent.submit(button('Sign in'))
    await screen.findByText('E-mail or password is wrong.')
    expect((screen.getByLabelText('Password') as HTMLInputElement).value).toBe('')
  })
})

describe('ServiceLogsViewer', () => {
  const open = async () => {
    vi.stubGlobal('WebSocket', FakeSocket)
    FakeSocket.all = []
    const { fake, unmount } = await show(ServiceLogsViewer, { props: { service: 'redis' } })
    fake.on('GET /api/services/redis/logs', 200, { logs: [...data.logLines()].reverse(), total_lines: 8, service: 'redis-server', vm: '' })
    await fireEvent.click(await screen.findByRole('button', { name: 'Try again' }))
    await screen.findByText('8 lines')
    return { fake, unmount }
  }
  const say = (...messages: string[]) =>
    FakeSocket.last.send({ type: 'log', service: 'redis', error: null, lines: messages.map((message) => ({ timestamp: data.ago(0), level: 'error', message, source: 'redis' })) })

  it('shows the oldest first, and filters', async () => {
    await open()
    await fireEvent.update(screen.getByLabelText('Containing'), 'saved')
    await screen.findByText('1 line')
  })
  it('follows, and counts what comes while it is paused', async () => {
    const { fake } = await open()
    await fireEvent.click(screen.getByRole('switch', { name: 'Follow' }))
    expect(screen.getByRole('switch', { name: 'Follow' }).getAttribute('aria-checked')).toBe('true')
    say('one')
    await screen.findByText('Following, 1 line')
    await fireEvent.click(button('Pause'))
    say('two', 'three')
    await screen.findByText('Paused – 2 new')
    await fireEvent.update(screen.getByLabelText('Containing'), 'three')
    await screen.findByText('Paused – 1 new')
    await fireEvent.update(screen.getByLabelText('Containing'), '')
    expect(screen.queryByText('two')).toBeNull()
    await fireEvent.click(button('Show 2 new lines'))
    await screen.findByText('two')
    await fireEvent.click(screen.getByRole('switch', { name: 'Follow' }))
    expect(FakeSocket.last.closed).toBe(true)
    await screen.findByText('3 lines')
    const reads = () => fake.sent.filter((s) => s.path.includes('/logs')).length
    const before = reads()
    await fireEvent.click(button('Read again'))
    await screen.findByText('8 lines')
    expect(reads()).toBe(before + 1)
  })
  it('begins anew with another level', async () => {
    await open()
    await fireEvent.click(screen.getByRole('switch', { name: 'Follow' }))
    say('one')
    await screen.findByText('one')
    await fireEvent.update(screen.getByLabelText('Level'), 'error')
    await waitFor(() => expect(FakeSocket.last.url).toContain('level=error'))
    expect(screen.queryByText('one')).toBeNull()
  })
  it('leaves no connection behind', async () => {
    const { unmount } = await open()
    await fireEvent.click(screen.getByRole('switch', { name: 'Follow' }))
    unmount()
    expect(FakeSocket.last.closed).toBe(true)
  })
  it('shows markup as text', async () => {
    const { fake, container } = await show(ServiceLogsViewer, { props: { service: 'redis' } })
    const evil = '<img src=x onerror=alert(1)>'
    fake.on('GET /api/services/redis/logs', 200, { logs: [{ timestamp: data.ago(1), level: 'info', message: evil }], total_lines: 1, service: '', vm: '' })
    await fireEvent.click(await screen.findByRole('button', { name: 'Try again' }))
    await screen.findByText(evil)
    expect(container.querySelector('img')).toBeNull()
  })
})

describe('NotAvailable', () => {
  it('gives the server\'s own reason', async () => {
    const error = new ApiError('http', 'Insufficient permissions to read the audit log', 403, { required_roles: ['admin'] })
    const { emitted } = await show(NotAvailable, { props: { what: 'Audit', error }, role: 'operator' })
    expect(screen.getByRole('status').textContent).toMatch(/Audit not available.*It needs admin; you are operator.*Insufficient permissions.*HTTP 403/)
    await fireEvent.click(button('Try again'))
    expect(emitted().retry).toBeTruthy()
  })
})
