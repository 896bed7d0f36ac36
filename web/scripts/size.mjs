// Fails when the first load of the Now page, compressed, is over its budget. What is imported on demand does not count.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const BUDGET_KIB = 120
const FIRST = ['index.html', 'src/screens/ServiceFrame.vue', 'src/screens/NowScreen.vue']

const dist = new URL('../dist/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('manifest.json', dist), 'utf8'))

const files = new Set(['index.html'])
const seen = new Set()

function take(key) {
  const chunk = manifest[key]
  if (!chunk) throw new Error(`${key} is not in the build: did a screen move?`)
  if (seen.has(key)) return
  seen.add(key)
  files.add(chunk.file)
  for (const css of chunk.css ?? []) files.add(css)
  for (const next of chunk.imports ?? []) take(next)
}

FIRST.forEach(take)

const sizes = [...files]
  .map((file) => ({ file, bytes: gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length }))
  .sort((a, b) => b.bytes - a.bytes)
const total = sizes.reduce((sum, s) => sum + s.bytes, 0)

for (const { file, bytes } of sizes) console.log(`${(bytes / 1024).toFixed(1).padStart(7)} K  ${file}`)
console.log(`${(total / 1024).toFixed(1).padStart(7)} K  first load, of ${BUDGET_KIB} K`)
if (total > BUDGET_KIB * 1024) process.exit(1)
