/**
 * Flags of settings, from the rows of their tables.
 */
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { Kind, Names } from "../settings/Setting.ts"

type RowWithFlag<A> = Kind<A> & Names & { readonly flag: string }

/** The flag of a setting that is on or off. Without the flag, the variable decides. */
export const switchFlag = (row: RowWithFlag<"true" | "false">) =>
  Flag.Boolean(row.flag).pipe(Flag.withDescription(sentence(row.about)), Flag.optional)

const sentence = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

const described = ({ about, flag, range }: RowWithFlag<unknown>, purpose = about) =>
  Flag.String(flag).pipe(Flag.withDescription(`${sentence(purpose)} (${range})`))

/** The flag of a setting, as text that is checked together with the other settings. */
export const settingFlag = (row: RowWithFlag<unknown>, purpose?: string) => Flag.optional(described(row, purpose))

/** The flag of a setting, checked with the command line. */
export const checkedFlag = <A>(row: RowWithFlag<A>, purpose?: string) =>
  described(row, purpose).pipe(
    Flag.filterMap(
      (text) => Option.flatMap(Result.getSuccess(row.parse(text)), Option.fromUndefinedOr),
      (text) =>
        Result.match(row.parse(text), {
          onFailure: ({ message }) => message.replace(/^must be /, ""),
          onSuccess: () => row.range
        })
    ),
    Flag.optional
  )
