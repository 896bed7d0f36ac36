import { expect, test } from './fake'

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

for (const next of ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)']) {
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
