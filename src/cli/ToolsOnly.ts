/**
 * What is said where a setup code has paired this device for its tools alone, and it is asked to give tasks.
 */
const ask = "ask the person who runs the gateway for a setup code made by openclaw qr --setup-code-only, and paste it:"
  + " openclaw-device pair"

export const toolsMissing =
  "The gateway knows this device for its tools alone, and no tools are given. Start it with them: openclaw-device run"
  + ` --tools FILE. To give tasks, ${ask}`

export const toolsAlone = `This device offers its tools and gives no tasks. For tasks, ${ask}`

export const noTasks =
  `The gateway knows this device for its tools alone, as its setup code was made for them, and takes no tasks of it. To give tasks, ${ask}`
