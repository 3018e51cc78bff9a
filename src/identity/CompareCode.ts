/**
 * A short form of a device id that two people can compare, one at the device and one at the gateway.
 *
 * Both forms are parts of the device id, which is a SHA-256, so they need no further hash:
 * - digits: the first 20 hex digits (80 bits) in five groups of four, `6a1b-2863-554d-c14b-d5a4`. They are the beginning of
 *   the id that `openclaw devices list` shows, so the other side needs no tool.
 * - words: each of the first 8 bytes (64 bits) stands for one of 256 words, in order, joined by a blank. The first four
 *   letters of every word are unique.
 *
 * To make another device with the same code one has to try about 2^64 keys.
 */
import type { DeviceId } from "../protocol/Connect.ts"

/** Both forms of the code of one device: `digits` and `words`, as described above. */
export interface CompareCode {
  readonly digits: string
  readonly words: string
}

/** The code of a device. The same id always gives the same code. */
export const compareCode = (deviceId: DeviceId): CompareCode => ({
  digits: (deviceId.slice(0, 20).match(/.{4}/g) ?? []).join("-"),
  words: (deviceId.slice(0, 16).match(/../g) ?? []).map((byte) => words[Number.parseInt(byte, 16)]).join(" ")
})

/** 256 nouns in alphabetical order; the index of a word is its byte. This list is part of the format and never changes. */
const words: ReadonlyArray<string> = `
  acorn actor adobe agate alarm album alley amber anchor angle anvil apple apron arena armor arrow aspen atlas
  attic autumn axle bacon badge bagel balcony bamboo banjo barley basket beacon beetle bench bicycle bishop
  bison blanket blossom boat bonfire bottle boulder bracelet bread bridge broom bucket buffalo bugle butter
  cabin cactus camel candle canyon carpet castle cedar cello chalk cherry chimney cider circus clarinet clover
  cobra coffee comet copper coral cotton cradle crayon cricket crystal cupcake curtain cymbal dagger daisy
  dancer delta desert diamond dinner dolphin donkey dragon drum dungeon eagle earth easel eclipse elbow elephant
  ember engine envelope eraser fabric falcon farmer feather fender ferry fiddle finger flamingo flute forest
  fossil fountain freckle frost fudge galaxy garlic gazelle geyser ginger giraffe glacier goblet gopher granite
  grape guitar hammer harbor hazel hedge helmet heron hippo hockey honey hornet hotel hurdle iceberg igloo
  indigo insect island ivory jacket jaguar jasmine jelly jigsaw jockey jungle kayak kernel kettle kitchen koala
  ladder lagoon lantern lasso lemon leopard lettuce lighthouse lily lizard lobster locket lumber lunch magnet
  mango maple marble meadow melon mercury mirror mitten monkey mosaic muffin mustard napkin nectar needle nickel
  noodle nugget nutmeg oasis ocean octopus olive onion orbit orchid ostrich otter oyster paddle palace panda
  parrot pebble pelican pepper piano pickle pigeon pillow pirate planet plaza pocket pony poppy prairie prism
  puddle pumpkin puzzle quartz quiver rabbit raccoon radar raisin rascal ribbon robin rocket rooster rubber
  saddle salmon sandal saturn scarf sequoia shadow silver sparrow spider squirrel statue sunset teapot thimble
  thunder tiger tulip tunnel turtle
`.trim().split(/\s+/)
