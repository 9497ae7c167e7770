/**
 * Keeps ids small: `job-7` is kept as the number 7, and written out only for those who ask.
 */
export type JobId = number | string

export const toText = (id: JobId): string => (typeof id === "number" ? `job-${id}` : id)

/** The one way an id is kept, whoever chose it. */
export const fromText = (text: string): JobId => {
  if (!text.startsWith("job-")) return text
  const number = Number(text.slice(4))
  return Number.isSafeInteger(number) && toText(number) === text ? number : text
}
