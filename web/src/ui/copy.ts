/** Puts a text on the clipboard. Resolves with whether that was possible: pages without TLS have no clipboard. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return false
  }
}
