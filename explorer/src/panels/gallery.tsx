import { useEffect, useRef, useState } from "preact/hooks";
import { usePage } from "../page";
import type { Gallery, Split } from "../source/types";

const COUNT = 18;

/** Samples of the data set as small pictures. */
export function GalleryPanel() {
  const { source, model, state, changed, fail } = usePage();
  const live = source.live!;
  const [split, setSplit] = useState<Split>(state.sample.split ?? "test");
  const [start, setStart] = useState(COUNT * Math.floor((state.sample.index ?? 0) / COUNT));
  const [gallery, setGallery] = useState<Gallery | null>(null);
  useEffect(() => {
    let current = true;
    live.gallery(split, start, COUNT).then((found) => current && setGallery(found), fail);
    return () => void (current = false);
  }, [split, start]);
  const total = gallery?.total ?? model.data?.[split] ?? 0;
  return (
    <div class="gallery">
      <div class="thumbs">
        {gallery?.labels.map((label, i) => (
          <button
            key={`${gallery.split} ${gallery.start + i}`}
            aria-pressed={state.sample.split === gallery.split && state.sample.index === gallery.start + i}
            aria-label={`sample ${gallery.start + i}, ${model.classes[label] ?? label}`}
            onClick={() => void live.pick(gallery.split, gallery.start + i).then(changed, fail)}
          >
            <Thumb gallery={gallery} row={i} />
          </button>
        ))}
      </div>
      <div class="row">
        <button class="quiet" disabled={start === 0} onClick={() => setStart(Math.max(0, start - COUNT))} aria-label="earlier samples">←</button>
        <span class="aside">{start}–{Math.min(start + COUNT, total) - 1} of {total}</span>
        <button class="quiet" disabled={start + COUNT >= total} onClick={() => setStart(start + COUNT)} aria-label="later samples">→</button>
        <select
          aria-label="part of the data set" value={split}
          onChange={(event) => {
            setSplit(event.currentTarget.value as Split);
            setStart(0);
          }}
        >
          <option value="test">test</option>
          <option value="train">training</option>
        </select>
      </div>
    </div>
  );
}

function Thumb({ gallery, row }: { gallery: Gallery; row: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [channels, height, width] = gallery.shape as [number, number, number];
  useEffect(() => {
    const context = canvas.current!.getContext("2d")!;
    const image = context.createImageData(width, height);
    const size = height * width;
    const pixel = (c: number, i: number) => gallery.pixels[(row * channels + Math.min(c, channels - 1)) * size + i]!;
    for (let i = 0; i < size; i++) image.data.set([pixel(0, i), pixel(1, i), pixel(2, i), 255], 4 * i);
    context.putImageData(image, 0, 0);
  }, [gallery, row]);
  return <canvas ref={canvas} width={width} height={height} />;
}
