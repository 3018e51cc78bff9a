/**
 * What is known of the request or the failure, as names and values.
 */
import { h, setChildren } from "./Dom.ts"
import type { Fact } from "./PairingView.ts"

export const makeFactList = () => {
  const element = h("dl", { class: "facts" })
  const rows: Array<HTMLElement> = []
  return {
    element,
    show: (facts: ReadonlyArray<Fact>) => {
      element.hidden = facts.length === 0
      while (rows.length < facts.length) rows.push(h("div"))
      // Nodes that are put in again would lose the reader's selection.
      if (element.childElementCount !== facts.length) element.replaceChildren(...rows.slice(0, facts.length))
      facts.forEach((fact, index) => {
        const row = rows[index]
        if (row !== undefined) {
          setChildren(row, JSON.stringify(fact), () => [h("dt", {}, fact.name), h("dd", {}, valueOf(fact))])
        }
      })
    }
  }
}

const valueOf = (fact: Fact): Node =>
  "scopes" in fact
    ? h(
      "ul",
      {},
      ...fact.scopes.map(({ added, scope }) =>
        h(
          "li",
          added === "" ? {} : { class: "new" },
          h("bdi", { dir: "ltr", translate: "no" }, scope),
          ...(added === "" ? [] : [h("small", {}, added)])
        )
      )
    )
    : fact.is === "address"
    ? h("bdi", { dir: "ltr" }, fact.text)
    : h("span", fact.is === "english" ? { lang: "en" } : {}, fact.text)
