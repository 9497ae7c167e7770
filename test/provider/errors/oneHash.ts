/**
 * Runs of twenty letters that differ and share a hash, whatever its factor is, as long as that is odd and the hash has 32 bits.
 *
 * They differ by multiples of 32 (x² − 1)⁹, where x is the factor: each of the nine is a multiple of 8, so all is one of 2³².
 */
export const runWithOneHash = (which: number): string => {
  const codes = Array.from({ length: 20 }, () => 0x8000)
  let binomial = 1
  for (let power = 0; power <= 9; power++) {
    codes[2 * power] = 0x8000 + (power % 2 === 0 ? 32 : -32) * binomial * which
    binomial = (binomial * (9 - power)) / (power + 1)
  }
  return String.fromCharCode(...codes)
}
