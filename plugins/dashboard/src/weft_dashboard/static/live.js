// A view, as it is now and whenever it changes. Closed while the page is hidden: a browser keeps only
// six connections to a server, and a page that nobody sees needs none.

/** What makes one object of another (RFC 7396). The parts that do not change stay the same objects. */
export function patched(data, patch) {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const made = data && typeof data === "object" && !Array.isArray(data) ? { ...data } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete made[key];
    else made[key] = patched(made[key], value);
  }
  return made;
}

export class Live {
  /**
   * @param {Object<string, string>} asked the view, and what is asked for
   * @param {{data: (data: any) => void, trouble: (text: string) => void, state: (state: string) => void}} tell
   */
  constructor(asked, tell) {
    this.tell = tell;
    this.address = `/api/events?${new URLSearchParams(asked)}`;
    this.seen = () => (document.hidden ? this.#pause() : this.#open());
    document.addEventListener("visibilitychange", this.seen);
    this.#open();
  }

  #open() {
    if (this.source || this.ended) return;
    const source = (this.source = new EventSource(this.address));
    source.onopen = () => this.tell.state("live");
    source.onerror = () => {
      this.tell.state("lost");
      if (source.readyState === EventSource.CLOSED) {
        this.#pause();
        this.#why();
      }
    };
    source.addEventListener("snapshot", (event) => this.#take(JSON.parse(event.data)));
    source.addEventListener("patch", (event) => this.#take(patched(this.data, JSON.parse(event.data))));
    source.addEventListener("trouble", (event) => {
      this.close();
      this.tell.trouble(JSON.parse(event.data).text);
    });
  }

  #take(data) {
    this.data = data;
    this.tell.data(data);
  }

  /** The server refused: ask it why, and try again later. */
  async #why() {
    try {
      const answer = await fetch(this.address.replace("/api/events", "/api/runs"), { method: "HEAD" });
      if (answer.status === 403) this.tell.trouble("This dashboard wants a token: open the address that 'weft dashboard' printed.");
    } catch {
      // not there: tried again below
    }
    this.again = setTimeout(() => this.#open(), 3000);
  }

  #pause() {
    this.source?.close();
    this.source = null;
  }

  close() {
    this.ended = true;
    clearTimeout(this.again);
    document.removeEventListener("visibilitychange", this.seen);
    this.#pause();
  }
}
