/** Takes the place of the browser's WebSocket. */
export class FakeSocket {
  static all: FakeSocket[] = []
  static get last(): FakeSocket {
    const found = FakeSocket.all.at(-1)
    if (!found) throw new Error('nobody dialled')
    return found
  }
  onopen: (() => void) | null = null
  onclose: ((e: { code: number }) => void) | null = null
  onerror: (() => void) | null = null
  onmessage: ((e: { data: unknown }) => void) | null = null
  closed = false
  constructor(readonly url: string) {
    FakeSocket.all.push(this)
  }
  close(): void {
    this.closed = true
  }
  send(value: unknown): void {
    this.onmessage?.({ data: JSON.stringify(value) })
  }
}
