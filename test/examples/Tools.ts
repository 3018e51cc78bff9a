import { Effect, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"

const Weather = Tool.make("effect_weather", {
  description: "The temperature in a city, in degrees Celsius.",
  parameters: Schema.Struct({ city: Schema.NonEmptyString }),
  success: Schema.Struct({ degrees: Schema.Finite })
})

export const toolkit = Toolkit.make(Weather)

export const handlers = toolkit.toLayer({
  effect_weather: ({ city }) => Effect.succeed({ degrees: city.length })
})
