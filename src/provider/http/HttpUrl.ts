/** Says what is wrong about the URL of a server or a proxy. */

/** `undefined` for one that can be gone to. Shows none of it: it may hold a password. */
export const faultOf = (value: string | URL): string | undefined => {
  if (!URL.canParse(String(value))) return "something that is no URL"
  const { password, protocol, username } = new URL(String(value))
  if (protocol !== "http:" && protocol !== "https:") return `one of ${protocol}`
  return isDecodable(username) && isDecodable(password) ? undefined : "one with a bare % in its user or password"
}

const isDecodable = (text: string): boolean => {
  try {
    return decodeURIComponent(text) !== undefined
  } catch {
    return false
  }
}
