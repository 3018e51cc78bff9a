/**
 * What follows from events of a run that name a session which is not known to be the task's. A gateway's settings may give our
 * session another key, and then history tells it.
 */
import type { ChatEvent } from "./ChatEvent.ts"
import * as RunEvent from "./RunEvent.ts"
import { after, andThen, idle, onNews, receive, stay, withActivity } from "./TaskActivity.ts"
import type { ActiveStage, Answered, HistoryRead, Input, Rules, Stepped, TaskLife } from "./TaskLife.ts"

/** Notes the event. History is read for the first one, and for one that ends the run. */
export const hear = (
  life: TaskLife,
  stage: ActiveStage,
  { event, told }: Extract<Input, { readonly _tag: "Misaddressed" }>,
  nowMs: number
): Stepped => {
  if (stage._tag === "Waiting") return stay(life)
  const { misaddressed: before } = stage
  const end = event !== undefined && isEnd(event) ? event : undefined
  const misaddressed = {
    told,
    // The second of two errors has the longer text.
    end: end ?? before?.end,
    begun: before?.begun === true || end === undefined,
    complete: true
  }
  const noted: ActiveStage = { ...stage, misaddressed }
  return before === undefined || (end !== undefined && before.end === undefined)
    ? onNews({ ...life, stage: noted }, noted, nowMs)
    : stay({ ...life, stage: noted })
}

/** Without the link, the end of a run that goes on may be told unheard. */
export const loseLink = <Stage extends ActiveStage>(stage: Stage): Stage =>
  stage._tag === "Waiting" || stage.misaddressed === undefined
    ? stage
    : { ...stage, misaddressed: { ...stage.misaddressed, complete: false } }

const isEnd = ({ _tag }: ChatEvent): boolean => _tag === "Final" || _tag === "Error" || _tag === "Aborted"

const heardOf = (stage: ActiveStage) => stage._tag === "Waiting" ? undefined : stage.misaddressed

/** Whether the session that the events named is the task's, by what history says. */
export const isNamed = (stage: ActiveStage, { sessionKey }: HistoryRead): boolean => {
  const heard = heardOf(stage)
  return heard !== undefined && sessionKey !== undefined && spelled(heard.told) === spelled(sessionKey)
}

const spelled = (key: string): string => key.trim().toLowerCase()

/** Whether the end of the run was heard. */
export const hasEnd = (stage: ActiveStage): boolean => heardOf(stage)?.end !== undefined

/** Whether the run was heard, and its end, if it was told by now, would have been heard too. */
export const goesOn = (stage: ActiveStage): boolean => {
  const heard = heardOf(stage)
  return heard !== undefined && heard.complete && heard.end === undefined
}

/** Takes the end that was heard as the run's. Where it does not give the reply, what history showed is judged. */
export const end = (
  rules: Rules,
  life: TaskLife,
  stage: ActiveStage,
  nowMs: number,
  judge: (life: TaskLife, stage: Answered) => Stepped
): Stepped => {
  const heard = heardOf(stage)
  if (heard?.end === undefined) return stay(life)
  const [known, told] = receive(life, stage)
  const own = {
    ...known,
    begun: known.begun || heard.begun,
    misaddressed: { ...heard, end: undefined, complete: false }
  }
  const unfinished = RunEvent.withoutReply(own, heard.end)
  return after(
    told,
    unfinished === undefined
      ? RunEvent.onChat(rules, withActivity(life, own, idle), { ...own, activity: idle }, heard.end, nowMs)
      : andThen(RunEvent.keep(life, unfinished), (kept) => judge(kept, unfinished))
  )
}
