/**
 * What a screen reader hears when it changes; also in sight while it holds a toast.
 */
import { h } from "./Dom.ts"

export interface Toast {
  readonly sentence: string
  readonly good: boolean
}

export const makeLiveRegion = () => {
  const element = h("div", { role: "status", class: "offscreen" })
  let shown = ""
  const say = (sentence: string) => element.replaceChildren(...(sentence === "" ? [] : [h("p", {}, sentence)]))
  return {
    element,
    say,
    show: (toast: Toast | undefined) => {
      element.className = toast === undefined ? "offscreen" : toast.good ? "toast good" : "toast"
      const sentence = toast?.sentence ?? ""
      if (sentence === shown) return
      shown = sentence
      say(sentence)
    }
  }
}
