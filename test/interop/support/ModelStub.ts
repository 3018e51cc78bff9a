import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import { type EventLog, makeEventLog, untilTrue } from "./EventLog.ts"
import { InteropError } from "./InteropError.ts"

// A model provider without a model: it answers OpenAI chat completions with `echo: <the last user text>`.

const Part = Schema.Struct({
  type: Schema.String,
  text: Schema.optionalKey(Schema.String),
  image_url: Schema.optionalKey(Schema.Struct({ url: Schema.String }))
})
const Message = Schema.Struct({
  role: Schema.String,
  content: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.String, Schema.Array(Part)])))
})
/** A call that a prompt asks for: `[use <tool> <arguments as JSON>]`, on a line of its own. */
const wantedCalls = (prompt: string) =>
  [...prompt.matchAll(/\[use (\w+) (\{.*\})\]$/gm)].map(([, name = "", given = "{}"]) => ({ name, given }))

const Completion = Schema.Struct({
  stream: Schema.optionalKey(Schema.Boolean),
  messages: Schema.Array(Message),
  tools: Schema.optionalKey(Schema.Array(Schema.Struct({ function: Schema.Struct({ name: Schema.String }) })))
})
const decodeCompletion = Schema.decodeUnknownOption(Schema.fromJsonString(Completion))

export interface ModelStub {
  readonly port: number
  /** The last user text of every call so far as the model saw it, with whatever the gateway wrapped around it. */
  readonly prompts: ReadonlyArray<string>
  /** The texts of all messages of every call so far. */
  readonly contexts: ReadonlyArray<string>
  /** The images of every call so far, as data URLs. */
  readonly images: ReadonlyArray<string>
  /** What tools have answered, of every call so far, as the model saw it. */
  readonly toolResults: ReadonlyArray<string>
  /** The names of the tools that the last call offered. */
  readonly tools: () => ReadonlyArray<string>
  /** The next call whose last user text contains `text`; calls passed over stay in `prompts`. 60 s unless set. */
  readonly nextPrompt: (text: string, timeout?: Duration.Input) => Effect.Effect<string, InteropError>
  /** Done when a call whose last user text contains `text` has come, in whatever order. 60 s. */
  readonly asked: (text: string) => Effect.Effect<void, InteropError>
  /** Lets the answers to texts with this mark (`[hold]`, `[hold 7]`) go on, those that wait now and those to come. */
  readonly release: (mark: string) => Effect.Effect<void>
}

/**
 * Takes off what releases put around a text, or into a message of its own behind it: blocks of context and metadata, a
 * line with the message id, a note that a run before was cut short, a time in brackets.
 */
const unwrap = (prompt: string): string =>
  prompt
    .replace(/<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>[\s\S]*?<<<END_OPENCLAW_INTERNAL_CONTEXT>>>/g, "")
    .replace(/^[^\n]*\(untrusted[^\n]*\):\n```json\n[\s\S]*?\n```\n*/gm, "")
    .replace(/^\[message_id:[^\n]*\]\n?/gm, "")
    .replace(/^Note: The previous agent run was aborted by the user\.[^\n]*\n*/gm, "")
    .replace(/\n\nRuntime: agent=[^\n]*/g, "")
    .trim()
    .replace(/^\[[^\]\n]*\d{4}-\d{2}-\d{2}[^\]\n]*\] */, "")
    .trim()

const textOf = ({ content }: typeof Message.Type): string =>
  typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join("\n")

/** The last message of a person. An earlier one may still stand there unanswered, so they are not joined. */
const lastUserText = (completion: typeof Completion.Type): string => {
  const texts = completion.messages.filter(({ role }) => role === "user").map(textOf)
  return texts.findLast((text) => unwrap(text) !== "") ?? ""
}

/** Whether a tool was called since the text with this mark. Gateways put messages of their own behind the result. */
const toolWasCalled = ({ messages }: typeof Completion.Type, mark: string): boolean =>
  messages.slice(messages.findLastIndex((message) => message.role === "user" && textOf(message).includes(mark)))
    .some(({ role }) => role === "tool")

/** What tools have answered since the text with this mark. */
const answersSince = ({ messages }: typeof Completion.Type, mark: string): ReadonlyArray<string> =>
  messages.slice(messages.findLastIndex((message) => message.role === "user" && textOf(message).includes(mark)))
    .filter(({ role }) => role === "tool").map(textOf)

/** The calls that are due: all at once behind `[at once]`, otherwise one after another. */
const dueCalls = (completion: typeof Completion.Type, prompt: string) => {
  const offered = (completion.tools ?? []).map((tool) => tool.function.name)
  const wanted = wantedCalls(prompt).map(({ given, name }) =>
    offered.includes(name) || !offered.includes("tool_call")
      ? { given, name }
      : { name: "tool_call", given: `{"id":${JSON.stringify(name)},"args":${given}}` }
  )
  const answered = answersSince(completion, "[use ").length
  return (prompt.includes("[at once]") ? answered > 0 ? [] : wanted : wanted.slice(answered, answered + 1)).map(
    ({ given, name }, index) => ({
      index,
      id: `call_${answered}_${index}`,
      type: "function",
      function: { name, arguments: given }
    })
  )
}

/** Words with which a gateway asks again when nothing was said. */
const again = "did not produce a user-visible answer"
const isSilent = (completion: typeof Completion.Type, prompt: string): boolean =>
  prompt.includes("[silent]")
  || (prompt.includes(again) && completion.messages.some((message) => textOf(message).includes("[silent]")))

/** A call of the tool `exec`, in two pieces. */
const toolCall = (command: string) =>
  [
    { id: "call_1", function: { name: "exec", arguments: "" } },
    { function: { arguments: JSON.stringify({ command }) } }
  ].map((piece) => ({ tool_calls: [{ index: 0, type: "function", ...piece }] }))

/** The image that `[draw]` makes, in base64: a PNG of one point. */
export const drawnImage =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

/** What the tool is told to do for a text, before the text is answered. */
const commandFor = (prompt: string): { readonly mark: string; readonly command: string } | undefined =>
  prompt.includes("[tool]")
    ? { mark: "[tool]", command: "echo one && sleep 1 && echo two" }
    : prompt.includes("[draw]")
    ? { mark: "[draw]", command: `echo ${drawnImage} | base64 -d > drawn.png` }
    : undefined

const completionChunk = (delta: object, finishReason: "stop" | "tool_calls" | null) =>
  `data: ${
    JSON.stringify({
      id: "echo",
      object: "chat.completion.chunk",
      created: 0,
      model: "echo",
      choices: [{ index: 0, delta, finish_reason: finishReason }]
    })
  }\n\n`

const usageChunk = `data: ${
  JSON.stringify({
    id: "echo",
    object: "chat.completion.chunk",
    created: 0,
    model: "echo",
    choices: [],
    usage: { prompt_tokens: 120, completion_tokens: 30, total_tokens: 150 }
  })
}\n\n`

const json = (response: ServerResponse, status: number, body: object) =>
  void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body))

const readBody = (request: IncomingMessage) =>
  Effect.callback<string>((resume) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => void chunks.push(chunk))
    request.on("end", () => resume(Effect.succeed(Buffer.concat(chunks).toString())))
  })

const answer = Effect.fnUntraced(
  function*(
    request: IncomingMessage,
    response: ServerResponse,
    log: EventLog<string>,
    held: (mark: string) => Latch.Latch,
    see: (completion: typeof Completion.Type) => void
  ) {
    const completion = decodeCompletion(yield* readBody(request))
    if (request.method !== "POST" || request.url !== "/v1/chat/completions" || Option.isNone(completion)) {
      return json(response, 404, { error: { message: "the stub knows POST /v1/chat/completions only" } })
    }
    const prompt = lastUserText(completion.value)
    see(completion.value)
    log.offerUnsafe(prompt)
    if (prompt.includes("[fail]")) {
      return json(response, 400, { error: { message: "the stub was told to fail", type: "invalid_request_error" } })
    }
    if (prompt.includes("[break]")) {
      return json(response, 500, { error: { message: "the stub was told to break", type: "server_error" } })
    }
    const tool = commandFor(prompt)
    if (tool !== undefined && completion.value.stream === true && !toolWasCalled(completion.value, tool.mark)) {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(completionChunk({ role: "assistant", content: "looking" }, null))
      for (const piece of toolCall(tool.command)) response.write(completionChunk(piece, null))
      response.write(completionChunk({}, "tool_calls"))
      return void response.end("data: [DONE]\n\n")
    }
    const due = completion.value.stream === true ? dueCalls(completion.value, prompt) : []
    if (due.length > 0) {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(completionChunk({ role: "assistant", content: "" }, null))
      for (const call of due) response.write(completionChunk({ tool_calls: [call] }, null))
      response.write(completionChunk({}, "tool_calls"))
      return void response.end("data: [DONE]\n\n")
    }
    const shown = prompt.includes("[draw]") ? "\nMEDIA:./drawn.png" : ""
    const reply = isSilent(completion.value, prompt) ? "NO_REPLY" : `echo: ${unwrap(prompt)}${shown}`
    if (completion.value.stream !== true) {
      return json(response, 200, {
        id: "echo",
        object: "chat.completion",
        created: 0,
        model: "echo",
        choices: [{ index: 0, message: { role: "assistant", content: reply }, finish_reason: "stop" }]
      })
    }
    const hold = /\[hold[^\]]*\]/.exec(prompt)?.[0]
    const slow = prompt.includes("[slow]")
    const words = reply.split(/(?<=\s)/)
    const length = Number(/\[long (\d+)\]/.exec(prompt)?.[1] ?? 0)
    const tail = slow
      ? Array.from({ length: 10 }, (_, index) => ` ${index + 1}`)
      : reply.length < length
      ? ["x".repeat(length - reply.length)]
      : []
    response.writeHead(200, { "content-type": "text/event-stream" })
    response.write(completionChunk({ role: "assistant", content: "" }, null))
    if (prompt.includes("[think]")) {
      for (const thought of ["let me ", "think"]) {
        response.write(completionChunk({ reasoning_content: thought }, null))
        yield* Effect.sleep("300 millis")
      }
    }
    for (const [index, word] of [...words, ...tail].entries()) {
      if (index > 0 && slow) yield* Effect.sleep("400 millis")
      if (index === 1 && hold !== undefined) yield* held(hold).await
      response.write(completionChunk({ content: word }, null))
    }
    response.write(completionChunk({}, "stop"))
    if (prompt.includes("[think]")) response.write(usageChunk)
    response.end("data: [DONE]\n\n")
  }
)

/**
 * A model provider on loopback. The answer to a text is `echo: ` and that text, streamed word by word. Markers anywhere
 * in the text change that: `[slow]` puts 400 ms between the words and appends ` 1` to ` 10`, `[hold]` or `[hold <name>]`
 * stops after the first word until `release`, `[long <characters>]` makes it so long with `x` at its end, `[fail]` gives HTTP 400, and `[break]` HTTP 500.
 * `[use <tool> <arguments>]` at the end of a line calls that tool first, through `tool_call` where it is
 * not offered itself; several one after another, or together with `[at once]`.
 * `[tool]` calls the tool `exec` first, `[draw]` has it make `drawn.png` and shows that with the answer, `[think]` thinks first and counts what it used, and `[silent]` says that it has nothing to say.
 */
export const modelStub = Effect.fn("ModelStub.modelStub")(function*() {
  const log: EventLog<string> = yield* makeEventLog<string>()
  const latches = new Map<string, Latch.Latch>()
  const images: Array<string> = []
  const contexts: Array<string> = []
  const toolResults: Array<string> = []
  let tools: ReadonlyArray<string> = []
  const see = (completion: typeof Completion.Type) => {
    contexts.push(completion.messages.map(textOf).join("\n"))
    tools = (completion.tools ?? []).map((tool) => tool.function.name)
    for (const text of answersSince(completion, "[use ")) if (!toolResults.includes(text)) toolResults.push(text)
    for (const { content } of completion.messages) {
      if (typeof content === "string") continue
      for (const { image_url } of content ?? []) if (image_url !== undefined) images.push(image_url.url)
    }
  }
  const held = (mark: string) => {
    const latch = latches.get(mark) ?? Latch.makeUnsafe()
    latches.set(mark, latch)
    return latch
  }
  const run = yield* FiberSet.makeRuntime()
  const listen = Effect.callback<Server, InteropError>((resume) => {
    const server = createServer((request, response) => {
      run(Effect.ignoreCause(answer(request, response, log, held, see), { log: "Error", message: "model stub failed" }))
    })
    server.once(
      "error",
      (cause) => resume(Effect.fail(new InteropError({ step: "listen", detail: "model stub", cause })))
    )
    server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
  })
  const server = yield* Effect.acquireRelease(listen, (server) =>
    Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    }))
  const address = server.address()
  if (address === null || typeof address === "string") {
    return yield* new InteropError({ step: "listen", detail: "model stub has no port" })
  }
  const stub: ModelStub = {
    port: address.port,
    prompts: log.all,
    contexts,
    images,
    toolResults,
    tools: () => tools,
    nextPrompt: (text, timeout = "60 seconds") =>
      log.next({
        describe: `a prompt that contains ${JSON.stringify(text)}`,
        where: (prompt) => prompt.includes(text),
        timeout,
        context: () => log.all.map((prompt) => JSON.stringify(prompt).slice(0, 300))
      }),
    asked: (text) => {
      const is = () => log.all.some((prompt) => prompt.includes(text))
      const failure = Effect.fail(new InteropError({ step: "event", detail: `the model was not asked ${text}` }))
      return Effect.timeoutOrElse(untilTrue(is), { duration: "60 seconds", orElse: () => failure })
    },
    release: (mark) => Effect.suspend(() => held(mark).open)
  }
  return stub
})
