/**
 * AES-256-GCM of `node:crypto`, on the calling thread: a sealed identity has a kilobyte, and WebCrypto's way through a thread takes ten
 * times as long.
 */
import * as Aead from "effect/crypto/Aead"
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from "node:crypto"

const tagBytes = 16

/** Made once for a key, as Node.js takes four times as long to encrypt with bytes. */
const objects = new WeakMap<Uint8Array, KeyObject>()

const objectOf = (key: Uint8Array): KeyObject => {
  const known = objects.get(key)
  if (known !== undefined) return known
  const object = createSecretKey(key)
  objects.set(key, object)
  return object
}

const aes256Gcm: Aead.Implementation = {
  encrypt: (key, nonce, plaintext, aad) => {
    const cipher = createCipheriv("aes-256-gcm", objectOf(key), nonce, { authTagLength: tagBytes })
    cipher.setAAD(aad)
    return new Uint8Array(Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]))
  },
  decrypt: (key, nonce, ciphertext, aad) => {
    const decipher = createDecipheriv("aes-256-gcm", objectOf(key), nonce, { authTagLength: tagBytes })
    decipher.setAAD(aad)
    decipher.setAuthTag(ciphertext.subarray(-tagBytes))
    const plain = decipher.update(ciphertext.subarray(0, -tagBytes))
    try {
      return new Uint8Array(Buffer.concat([plain, decipher.final()]))
    } catch {
      plain.fill(0)
      return undefined
    }
  }
}

/** WebCrypto's `Aead` with it. */
export const layer = Aead.layerWebCryptoWith({ implementations: { aes256Gcm } })
