/** The media types that an agent takes: the input modes of its card. */

export const GZIP = "application/gzip";

/** What an agent takes if its card does not say it. */
export const TEXT_MODES = ["text/plain", "text/*", "application/json", GZIP];

const IMAGES = /^image\/(png|jpeg|gif|webp|avif|svg\+xml)(;|$)/;
const MAX_IMAGE = 8_000_000; // characters of base64

/** The address of the image in a part; empty when the page does not show it. @param {any} part */
export const imageIn = ({ raw, mediaType }) =>
  raw && IMAGES.test(mediaType) && raw.length <= MAX_IMAGE ? `data:${mediaType};base64,${raw.replaceAll("-", "+").replaceAll("_", "/")}` : "";

/** Whether a media type is one of an agent's input modes, such as text/plain or image/*. */
export const takes = (modes, type) => modes.some((mode) => mode === type || mode === "*/*" || (mode.endsWith("/*") && type.startsWith(mode.slice(0, -1))));

/** text (logs, CSV, JSON), images and PDF @param {string[]} modes */
export function modesInWords(modes) {
  const kinds = ["image", "audio", "video"].filter((kind) => takes(modes, `${kind}/*`) || modes.some((mode) => mode.startsWith(`${kind}/`)));
  const words = [takes(modes, "text/plain") && "text files", ...kinds.map((kind) => `${kind}${kind === "image" ? "s" : ""}`)];
  const all = [...words, takes(modes, "application/pdf") && "PDF"].filter(Boolean);
  return all.join(", ").replace(/, ([^,]*)$/, " and $1") || modes.join(", ");
}
