import * as data from './data'
import { expect, test, type FakeBackend } from './fake'

// Pictures for people to look at, made on request: SHOTS=1 npm run e2e -- shots
test.skip(!process.env.SHOTS, 'set SHOTS=1 to take pictures')

const SCENES: Record<string, (b: FakeBackend) => void> = {
  healthy: () => undefined,
  down: (b) => Object.assign(b, { status: data.failed(), health: data.critical(), recovery: data.recovering() }),
}

for (const theme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    for (const [name, set] of Object.entries(SCENES)) {
      test(`now ${name} ${theme} ${width}`, async ({ page, backend }) => {
        set(backend)
        await page.emulateMedia({ colorScheme: theme })
        await page.setViewportSize({ width, height: width === 360 ? 740 : 860 })
        await page.goto('/services/redis')
        await expect(page.getByRole('heading', { level: 1 })).not.toContainText('Connecting')
        await page.screenshot({ path: `shots/now-${name}-${theme}-${width}.png` })
      })
    }
  }
}
