/**
 * `Intl.Segmenter` as the build puts it into the bundle: made at the first use. The first one of a process reads the tables of
 * ICU, which takes 10 ms, and Effect's command line makes one when it is loaded.
 */
const { Segmenter } = Intl

export class LazySegmenter implements Intl.Segmenter {
  readonly #make: () => Intl.Segmenter
  #made: Intl.Segmenter | undefined

  constructor(...args: ConstructorParameters<typeof Segmenter>) {
    this.#make = () => new Segmenter(...args)
  }

  get #segmenter(): Intl.Segmenter {
    return this.#made ??= this.#make()
  }

  segment(text: string): Intl.Segments {
    return this.#segmenter.segment(text)
  }

  resolvedOptions(): Intl.ResolvedSegmenterOptions {
    return this.#segmenter.resolvedOptions()
  }
}
