import { assert, describe, it } from "@effect/vitest"
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv"
import * as Tool from "effect/ai/Tool"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { TaskAnswer, TaskRefusal, TaskTools } from "../../src/agent/TaskTools.ts"

// What a model is told to write is generated from the schema that reads it. This holds the two to each other, and the
// whole of what is told to this page, so that a change of it is seen.

const taskId = { type: "string", minLength: 1, description: "The task_id that claw_task_delegate answered." }
const parameters = {
  claw_task_delegate: {
    type: "object",
    properties: {
      summary: {
        type: "string",
        description: "The whole task in words. OpenClaw sees nothing else of this conversation."
      }
    },
    required: ["summary"],
    additionalProperties: true
  },
  claw_task_status: {
    type: "object",
    properties: { task_id: taskId },
    required: ["task_id"],
    additionalProperties: true
  },
  claw_task_abort: {
    type: "object",
    properties: { task_id: taskId },
    required: ["task_id"],
    additionalProperties: true
  }
}
const answer = {
  type: "object",
  properties: {
    task_id: { type: "string" },
    status: {
      type: "string",
      enum: ["queued", "sent", "running", "completed", "failed", "aborted", "expired", "unknown"]
    },
    message: { type: "string" }
  },
  required: ["task_id", "status", "message"],
  additionalProperties: true
}
const refusal = {
  type: "object",
  properties: {
    status: { type: "string", enum: ["refused"] },
    reason: { type: "string" },
    message: { type: "string" }
  },
  required: ["status", "reason", "message"],
  additionalProperties: true
}

/** Whether the generated JSON Schema takes a value, in the eyes of another library. */
const takes = (schema: Schema.Constraint) => {
  const validate = new AjvJsonSchemaValidator().getValidator(
    JSON.parse(JSON.stringify(Tool.getJsonSchemaFromSchema(schema)))
  )
  return (value: unknown) => validate(value).valid
}

/** Values near the right ones: the right names with any JSON in them, missing, or besides others. */
const near = Arbitrary.schema(Schema.Union([
  Schema.Json,
  Schema.Struct({
    task_id: Schema.optionalKey(Schema.Union([Schema.String, Schema.Json])),
    summary: Schema.optionalKey(Schema.Union([Schema.String, Schema.Json])),
    status: Schema.optionalKey(Schema.Union([TaskAnswer.fields.status, Schema.Literal("refused"), Schema.Json])),
    reason: Schema.optionalKey(Schema.Union([Schema.String, Schema.Json])),
    message: Schema.optionalKey(Schema.Union([Schema.String, Schema.Json])),
    more: Schema.optionalKey(Schema.Json)
  })
]))

const settings = { arbitrary: { seed: 1, runs: 400 } }

describe("the contract of the task tools", () => {
  for (const tool of Object.values(TaskTools.tools)) {
    it(`F09: ${tool.name} tells its parameters, its answer and its refusal as they are written here`, () => {
      assert.deepStrictEqual<unknown>(Tool.getJsonSchema(tool), parameters[tool.name])
      assert.deepStrictEqual<unknown>(Tool.getJsonSchemaFromSchema(tool.successSchema), answer)
      assert.deepStrictEqual<unknown>(Tool.getJsonSchemaFromSchema(tool.failureSchema), refusal)
    })

    const isTold = takes(tool.parametersSchema)
    const decode = Schema.decodeUnknownResult(tool.parametersSchema)
    it.effect.prop(
      `F09: ${tool.name} reads exactly what its JSON Schema takes`,
      [near],
      ([value]) =>
        Effect.sync(() => {
          assert.strictEqual(Result.isSuccess(decode(value)), isTold(value), JSON.stringify(value))
        }),
      settings
    )
  }

  const result = <A extends object>(name: string, schema: Schema.Codec<A>) => {
    const isTold = takes(schema)
    it.effect.prop(
      `F09: ${name}, written, is what its JSON Schema takes, and reads as what it was`,
      [Arbitrary.schema(schema)],
      ([value]) =>
        Effect.gen(function*() {
          const read: unknown = JSON.parse(JSON.stringify(yield* Schema.encodeEffect(schema)(value)))
          assert.isTrue(isTold(read))
          assert.deepStrictEqual(yield* Schema.decodeUnknownEffect(schema)(read), value)
        }),
      settings
    )
    it.effect.prop(
      `F09: ${name} is read exactly where its JSON Schema takes it`,
      [near],
      ([value]) =>
        Effect.sync(() => {
          assert.strictEqual(Result.isSuccess(Schema.decodeUnknownResult(schema)(value)), isTold(value))
        }),
      settings
    )
  }
  result("an answer", TaskAnswer)
  result("a refusal", TaskRefusal)
})
