/**
 * The decisions of the fence, without a clock, a database or a link.
 *
 * A process may act for its devices only while its lease runs. The lease is counted from the moment at which a renewal was asked
 * for, so it is over here before it is over in the database, whatever the answer took. An activation that takes a device over
 * waits until the lease of the process that had it is over. So at no time two links of one device send.
 *
 * Nothing is locked. A renewal is granted first and then reads which devices its process has; a takeover is committed first and then
 * reads the leases. So of a renewal and a takeover at the same time at least one sees the other.
 *
 * A renewal that was on its way while a device was taken says nothing of that device: the database may have granted it after the device
 * was gone again. So each activation has a lease of its own, which begins as that of the process and goes on with the renewals that
 * were asked for with it.
 */

/** A moment by both clocks of this process, in milliseconds. */
export interface Moment {
  /** It may stand still while the machine sleeps. */
  readonly monotonicMs: number
  /** It may be set. */
  readonly wallMs: number
}

/** The lease of a process or of an activation: when it was last asked for, of the renewals that were granted. */
export interface Lease {
  readonly askedAt: Moment | undefined
}

/** Not granted yet. */
export const initial: Lease = { askedAt: undefined }

/** The lease after a renewal that was asked for at this moment was granted. An answer that comes late takes nothing back. */
export const renewed = (lease: Lease, askedAt: Moment): Lease =>
  lease.askedAt !== undefined && lease.askedAt.monotonicMs >= askedAt.monotonicMs ? lease : { askedAt }

/**
 * Whether the process may act now. By both clocks: the monotonic one does not count the sleep of a machine, and the wall clock may be
 * set back. A clock that is set ahead only ends the lease early, until it is renewed.
 */
export const holds = ({ askedAt }: Lease, now: Moment, lifeMs: number): boolean =>
  askedAt !== undefined
  && now.monotonicMs - askedAt.monotonicMs < lifeMs
  && now.wallMs - askedAt.wallMs < lifeMs

/**
 * How much longer the lease lives in the database than in the process: room for clocks that do not run equally fast, a tenth, and
 * for the rounding of milliseconds.
 */
export const marginMs = (lifeMs: number): number => Math.max(100, Math.ceil(lifeMs / 10))

/** The devices that this process no longer has, of those that it asked about: another activation has taken them, or they are removed. */
export const lost = (
  asked: ReadonlyMap<string, number>,
  held: ReadonlyMap<string, number>
): ReadonlyArray<string> => [...asked].flatMap(([name, epoch]) => held.get(name) === epoch ? [] : [name])

/**
 * The processes whose leases a device waits for, after `own` has taken it from `holder`. Undefined for `own` where it is removed. Those
 * that earlier activations did not wait out stay in it.
 */
export const waitsFor = (
  before: ReadonlyArray<string>,
  holder: string | undefined,
  own: string | undefined
): ReadonlyArray<string> =>
  holder === undefined || holder === own || before.includes(holder) ? before : [...before, holder]

/**
 * When an activation of `own` may open a link: once the leases of all these processes are over. Leases are those that are read after
 * the takeover was committed. A process without one has given it back, and none waits for itself: it ends its own link first.
 */
export const freeAtMs = (
  processes: ReadonlyArray<string>,
  leases: ReadonlyMap<string, number>,
  own: string
): number => Math.max(0, ...processes.map((process) => process === own ? 0 : leases.get(process) ?? 0))
