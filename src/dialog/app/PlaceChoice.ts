/**
 * Where the gateway runs, as the reader says; and what they said last, where the browser may keep it.
 */
import { h, setChildren } from "./Dom.ts"
import type { PlaceChoice } from "./PairingView.ts"

const key = "openclaw-pairing-place"
/** For pages that may keep nothing. */
let chosenHere: string | null = null

export const chosenPlace = (): string | null => {
  try {
    return localStorage.getItem(key) ?? chosenHere
  } catch {
    return chosenHere
  }
}

const choose = (place: string): void => {
  chosenHere = place
  try {
    localStorage.setItem(key, place)
  } catch {
    // kept for this page alone
  }
}

/** `onChoose` is called when `chosenPlace` is another. */
export const makePlaceChoice = (onChoose: () => void) => {
  const element = h("fieldset", { class: "places" })
  element.addEventListener("change", ({ target }) => {
    if (!(target instanceof HTMLInputElement)) return
    choose(target.value)
    onChoose()
  })
  return {
    element,
    show: (choice: PlaceChoice | undefined) => {
      element.hidden = choice === undefined
      if (choice === undefined) return
      const { chosen, places, question } = choice
      setChildren(element, JSON.stringify([question, places]), () => [
        h("legend", {}, question),
        ...places.map(({ name, place }) =>
          h("label", {}, h("input", { type: "radio", name: "place", value: place }), h("span", {}, name))
        )
      ])
      for (const input of element.querySelectorAll("input")) input.checked = input.value === chosen
    }
  }
}
