/**
 * Which connections of the dialog server stay open. Pure.
 *
 * The server has few places, and every program and every user of the machine can take them. So connections that have shown the
 * token have places of their own, and a new connection always gets one: when all are taken, the oldest of its kind is cut off. A
 * page that is cut off comes back by itself.
 */
export const limits = { withToken: 48, withoutToken: 16 }

/** Connections by number, those that have been in their kind longest first. */
export interface Places {
  readonly withToken: ReadonlyArray<number>
  readonly withoutToken: ReadonlyArray<number>
}

export type Input = { readonly is: "opened" | "tokenShown" | "closed"; readonly connection: number }

export const none: Places = { withToken: [], withoutToken: [] }

/** What is open afterwards, and the connections that are to be cut off. */
export const step = (places: Places, { connection, is }: Input): readonly [Places, ReadonlyArray<number>] => {
  const { withToken, withoutToken } = places
  const without = (all: ReadonlyArray<number>) => all.filter((one) => one !== connection)
  switch (is) {
    case "opened": {
      const [kept, cut] = keep([...without(withoutToken), connection], limits.withoutToken)
      return [{ withToken: without(withToken), withoutToken: kept }, cut]
    }
    case "tokenShown": {
      // A connection shows it with each request, and one that was cut off meanwhile stays so.
      if (!withoutToken.includes(connection)) return [places, []]
      const [kept, cut] = keep([...withToken, connection], limits.withToken)
      return [{ withToken: kept, withoutToken: without(withoutToken) }, cut]
    }
    case "closed":
      return [{ withToken: without(withToken), withoutToken: without(withoutToken) }, []]
  }
}

const keep = (all: ReadonlyArray<number>, most: number) => {
  const from = Math.max(0, all.length - most)
  return [all.slice(from), all.slice(0, from)] as const
}
