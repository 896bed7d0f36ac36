import { test } from './fake'
import { enter, SCENES } from './scenes'

// Pictures for people to look at, made on request: SHOTS=1 npm run e2e -- shots
test.skip(!process.env.SHOTS, 'set SHOTS=1 to take pictures')

for (const scheme of ['light', 'dark'] as const) {
  for (const width of [1280, 360]) {
    for (const scene of SCENES) {
      test(`${scene.name} ${scheme} ${width}`, async ({ page, backend }) => {
        await page.emulateMedia({ colorScheme: scheme })
        await page.setViewportSize({ width, height: width === 360 ? 740 : 860 })
        await enter(page, backend, scene)
        await page.screenshot({ path: `shots/${scene.name}-${scheme}-${width}.png`, fullPage: process.env.SHOTS === 'full' })
      })
    }
  }
}
