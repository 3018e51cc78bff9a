/**
 * Builds nodes without markup, so that no text can become markup.
 */
type Attributes = Readonly<Record<string, string>>

export const h = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: ReadonlyArray<Node | string>
): HTMLElementTagNameMap[K] => {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** A decorative icon of strokes on a grid of 24. */
export const icon = (...paths: ReadonlyArray<string>): SVGSVGElement => {
  const namespace = "http://www.w3.org/2000/svg"
  const svg = document.createElementNS(namespace, "svg")
  svg.setAttribute("viewBox", "0 0 24 24")
  svg.setAttribute("aria-hidden", "true")
  for (const d of paths) {
    const path = document.createElementNS(namespace, "path")
    path.setAttribute("d", d)
    svg.append(path)
  }
  return svg
}

/** Sets a text only if it differs, so that a selection and a screen reader's place stay. */
export const setText = (element: Element, text: string): void => {
  if (element.textContent !== text) element.textContent = text
}

/** Replaces the children only if `shows`, a key of what they show, differs. */
export const setChildren = (element: HTMLElement, shows: string, make: () => ReadonlyArray<Node>): void => {
  if (element.dataset["shows"] === shows) return
  element.dataset["shows"] = shows
  element.replaceChildren(...make())
}
