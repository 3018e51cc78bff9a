/**
 * Names under which files of a gateway are saved. Pure.
 *
 * The gateway, and the agent behind it, choose the title of a file. A name is made of it that stays in its directory, is no hidden file
 * and no option of a command, shows all that is in it, and means the same on every system.
 */
import { line } from "../protocol/OutsideText.ts"

/** The longest name, in UTF-16 code units: file systems take 255 bytes, and a unit has at most three. */
const maxLength = 80

/** What paths, shells and Windows read as something else than a letter of a name. */
const special = /[/\\<>:"|?*]/g
/** Names that Windows gives to devices, whatever extension they have. */
const device = /^(?:con|prn|aux|nul|com\d|lpt\d)(?:\.|$)/i

/** The name for a file with this title. `extension`, without a dot, is added to a title that has none; `nth` names one without. */
export const savedName = (title: string, extension: string | undefined, type: string, nth: number): string => {
  const last = title.normalize("NFC").split(/[/\\]/).findLast((part) => part.trim() !== "") ?? ""
  const clean = line(last.replace(/\s+/gu, " ")).replace(special, "_").replace(/^[.\-~\s]+|[.\s]+$/gu, "")
  const { ending, stem } = split(clean)
  const name = stem === "" ? `${type}-${nth}` : stem
  const whole = `${shorten(name, maxLength)}${ending === "" && extension !== undefined ? `.${extension}` : ending}`
  return device.test(whole) ? `_${whole}` : whole
}

/** The same name for another file: the number stands before the extension. */
export const numbered = (name: string, nth: number): string => {
  const { ending, stem } = split(name)
  return nth === 1 ? name : `${stem}-${nth}${ending}`
}

/** An extension is short, and of letters and digits. */
const split = (name: string): { readonly stem: string; readonly ending: string } => {
  const [, stem = name, ending = ""] = /^(.+?)(\.[A-Za-z0-9]{1,8})$/u.exec(name) ?? []
  return { stem, ending }
}

/** The first code units, less one if that would leave half a pair. */
const shorten = (text: string, length: number): string => text.slice(0, length).replace(/\p{Cs}$/u, "").trimEnd()
