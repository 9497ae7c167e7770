/** How something grows: the slope of points (x, y), by linear regression. */
export const slope = (points: ReadonlyArray<readonly [x: number, y: number]>): number => {
  const mean = (at: 0 | 1) => points.reduce((sum, point) => sum + point[at], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const [products, squares] = points.reduce(
    ([xy, xx], point) => [xy + (point[0] - x) * (point[1] - y), xx + (point[0] - x) ** 2] as const,
    [0, 0] as const
  )
  return products / squares
}
