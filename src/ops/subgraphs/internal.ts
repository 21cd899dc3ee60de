/** The domain of pergrad's own operators: no file has them. */
export const internalDomain = "pergrad";
