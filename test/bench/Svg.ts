/** Pieces of SVG as text. */

export const escaped = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

export type Attributes = Readonly<Record<string, string | number>>

/** Coordinates need no more than a tenth of a pixel. */
const value = (one: string | number): string =>
  typeof one === "number" ? String(Math.round(one * 10) / 10) : escaped(one)

/** An element with children that are SVG already. */
export const element = (name: string, attributes: Attributes, ...children: ReadonlyArray<string>): string => {
  const written = Object.entries(attributes).map(([key, one]) => ` ${key}="${value(one)}"`).join("")
  return children.length === 0 ? `<${name}${written}/>` : `<${name}${written}>${children.join("")}</${name}>`
}

export const text = (x: number, y: number, content: string, className = "", anchor = "start"): string =>
  element("text", { x, y, class: className, "text-anchor": anchor }, escaped(content))
