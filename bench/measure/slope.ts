type Points = ReadonlyArray<readonly [x: number, y: number]>

/** How something grows: the slope of points (x, y), by linear regression. */
export const slope = (points: Points): number => fit(points).slope

/** The same, with the standard error of that slope. */
export const fit = (points: Points): { readonly slope: number; readonly error: number } => {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const [products, squares] = points.reduce(
    ([xy, xx], point) => [xy + (point[0] - x) * (point[1] - y), xx + (point[0] - x) ** 2] as const,
    [0, 0] as const
  )
  const slope = products / squares
  const residues = points.reduce((sum, point) => sum + (point[1] - y - slope * (point[0] - x)) ** 2, 0)
  return { slope, error: Math.sqrt(residues / (points.length - 2) / squares) }
}
