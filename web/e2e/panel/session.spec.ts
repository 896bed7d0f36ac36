import type { Page } from '@playwright/test'

import * as data from './data'
import { expect, test, type FakeBackend } from './fake'

test('a link from a pager leads to its page through the sign-in', async ({ page, backend }) => {
  backend.session = null
  await page.goto('/services/redis/recovery')
  await expect(page.getByRole('heading', { level: 1, name: 'Sign in' })).toBeVisible()
  await page.getByLabel('E-mail').fill('admin@example.org')
  await page.getByLabel('Password').fill('secret')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('heading', { level: 1, name: 'Recovery of redis-01' })).toBeVisible()
  expect(backend.requests[0]).toMatchObject({ path: '/api/auth/login', body: { email: 'admin@example.org', password: 'secret' } })
})

for (const next of ['/signin', '//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)']) {
  test(`a sign-in does not lead to ${next}`, async ({ page, backend }) => {
    backend.session = null
    await page.goto(`/signin?next=${encodeURIComponent(next)}`)
    await page.getByLabel('E-mail').fill('admin@example.org')
    await page.getByLabel('Password').fill('secret')
    await page.keyboard.press('Enter')
    await expect(page.getByRole('heading', { level: 1 })).toHaveText('redis-01: Healthy')
    expect(new URL(page.url()).pathname).toBe('/services/redis')
  })
}

test.describe('an identity provider', () => {
  const oidc = { name: 'Example ID', login_url: '/api/auth/oidc/login' }
  const link = 'Sign in with Example ID'

  /** Plays server and provider: whoever follows the link comes back, to the panel or with an error. */
  async function provider(page: Page, backend: FakeBackend, error = ''): Promise<string[]> {
    const asked: string[] = []
    await page.route('**/api/auth/oidc/login*', async (route) => {
      const next = new URL(route.request().url()).searchParams.get('next') ?? ''
      asked.push(next)
      if (!error) backend.session = data.session('operator')
      await route.fulfill({ status: 200, contentType: 'text/html', body: `<meta http-equiv="refresh" content="0;url=${error ? `/signin?error=${error}` : next}">` })
    })
    return asked
  }

  test('leads in, and back to the page that was wanted', async ({ page, backend }) => {
    Object.assign(backend, { session: null, providers: { password: true, oidc } })
    const asked = await provider(page, backend)
    await page.goto('/services/redis/recovery')
    await expect(page.getByLabel('Password')).toBeVisible()
    await page.getByRole('link', { name: link }).click()
    await expect(page.getByRole('heading', { level: 1, name: 'Recovery of redis-01' })).toBeVisible()
    expect(asked).toEqual(['/services/redis/recovery'])
  })

  test('that refuses is said in words, and the way is not forgotten', async ({ page, backend }) => {
    Object.assign(backend, { session: null, providers: { password: true, oidc } })
    await provider(page, backend, 'oidc_no_role')
    await page.goto('/services/redis/recovery')
    await page.getByRole('link', { name: link }).click()
    await expect(page.getByRole('alert').filter({ hasText: 'none of your groups has a role here' })).toBeVisible()
    await page.getByLabel('E-mail').fill('admin@example.org')
    await page.getByLabel('Password').fill('secret')
    await page.keyboard.press('Enter')
    await expect(page.getByRole('heading', { level: 1, name: 'Recovery of redis-01' })).toBeVisible()
  })

  test('may be the only way', async ({ page, backend }) => {
    Object.assign(backend, { session: null, providers: { password: false, oidc } })
    await page.goto('/signin?error=<b>')
    await expect(page.getByRole('link', { name: link })).toBeVisible()
    await expect(page.getByText(/^Signing in failed\./)).toBeVisible()
    await expect(page.getByLabel('Password')).toBeHidden()
  })

  test('is offered when a session ends', async ({ page, backend }) => {
    backend.providers = { password: true, oidc }
    const asked = await provider(page, backend)
    await page.goto('/services/redis/timeline')
    await expect(page.getByText('Live', { exact: true })).toBeVisible()
    backend.session = null
    await backend.closeSockets()
    await page.getByRole('dialog').getByRole('link', { name: link }).click({ timeout: 15_000 })
    await expect(page.getByRole('heading', { level: 1, name: 'Timeline of redis-01' })).toBeVisible()
    expect(asked).toEqual(['/services/redis/timeline'])
  })
})

test('a server without any way to sign in says so', async ({ page, backend }) => {
  Object.assign(backend, { session: null, providers: { password: false, oidc: null } })
  await page.goto('/signin')
  await expect(page.getByText(/^This server has no way to sign in/)).toBeVisible()
})

test('an ended session keeps the page, and signing in goes on there', async ({ page, backend }) => {
  await page.goto('/services/redis')
  await expect(page.getByText('Live', { exact: true })).toBeVisible()
  backend.session = null
  await backend.closeSockets()
  const dialog = page.getByRole('dialog', { name: 'Your session has ended' })
  await expect(dialog).toBeVisible({ timeout: 15_000 })
  await expect(page.getByText('redis-01: Healthy')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(dialog).toBeVisible()
  await expect(dialog.getByLabel('E-mail')).toHaveValue('admin@example.org')
  await dialog.getByLabel('Password').fill('secret')
  await page.keyboard.press('Enter')
  await expect(dialog).toBeHidden()
  await expect(page.getByText('Live', { exact: true })).toBeVisible({ timeout: 15_000 })
  await expect(page.getByRole('button', { name: 'Restart…' })).toHaveAttribute('aria-disabled', 'false')
})

test('signing out leaves nothing on the screen', async ({ page, backend }) => {
  await page.goto('/services/redis')
  await page.getByRole('button', { name: /^Account and theme/ }).click()
  await page.getByRole('button', { name: 'Sign out' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Sign in' })).toBeVisible()
  expect(backend.requests.map((r) => r.path)).toContain('/api/auth/logout')
  await page.goBack()
  await expect(page.getByRole('heading', { level: 1, name: 'Sign in' })).toBeVisible()
})
